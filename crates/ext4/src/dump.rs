//! A layout as text.
