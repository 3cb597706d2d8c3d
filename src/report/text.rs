//! The text face.
