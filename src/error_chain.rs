//! Folding an error and what caused it into one line, once, at the edge where somebody reads it.

use std::error::Error;

/// An error and all its sources on one line.
pub fn display_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
