//! A Bot API server to test against.

fn main() {}
