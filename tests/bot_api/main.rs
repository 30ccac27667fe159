//! A Bot API server to test against, for programs that are no test of cargo's: prints its address and serves until it
//! is ended.
//!
//! ```text
//! bot-api-server [--listen 127.0.0.1:0]
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "for tests alone")]

#[path = "mod.rs"]
mod bot_api;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => "127.0.0.1:0",
        ["--listen", address] => address,
        _ => panic!("bot-api-server [--listen ADDRESS:PORT]"),
    };
    let server = bot_api::BotApi::listen(address.parse().expect("an address with a port"));
    println!("{}", server.address());
    loop {
        std::thread::park();
    }
}
