//! To come.

use crate::Depth;
use crate::table::Table;

pub fn run(_: Depth, _: &mut Table) {}
