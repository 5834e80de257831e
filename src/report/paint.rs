//! Colours on a terminal.

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Ready.
    Green,
    /// Not ready.
    Red,
    /// Somebody must mend something first.
    Yellow,
    /// Text of less weight.
    Dim,
    /// The heading of what follows.
    Bold,
}

/// Puts colours around a text, or not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Paint {
    pub(crate) in_colour: bool,
}

impl Paint {
    /// The text in this colour (ECMA-48, SGR).
    pub(crate) fn text(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Dim => "2",
            Colour::Bold => "1",
        };
        if self.in_colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
