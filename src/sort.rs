//! Sorting without a copy of the sort for each type.

use std::cmp::Ordering;

/// Sorts indices. Whoever has things to sort sorts their indices: for each type of things, and for each order that is
/// written down, the library would bring another 3 KB.
pub(crate) fn indices(indices: &mut [usize], order: &dyn Fn(usize, usize) -> Ordering) {
    indices.sort_unstable_by(|one, other| order(*one, *other));
}
