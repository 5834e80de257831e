//! Redis in every state that it has.
