//! Where the bridge listens and where it does not.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Bridge, program, run};

#[test]
fn what_everybody_could_reach_needs_authentication_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = format!(
        "store: {}\ndelivery: console\nchats: {{a: {{}}}}\ndefault_chat: a\n",
        folder.path().join("bridge.db").display()
    );
    let file = folder.path().join("bridge.yml");
    std::fs::write(&file, &open).unwrap();
    let public = ["--web.listen-address", "0.0.0.0:0"];
    let (code, _, said) = run(folder.path(), &[&["serve", "--config.file", "bridge.yml"][..], &public].concat());
    assert!(code == 64 && said.contains("can be reached from everywhere"), "{code}: {said}");
    assert!(!folder.path().join("bridge.db").exists());

    std::fs::write(folder.path().join("token"), "correct horse\n").unwrap();
    std::fs::write(&file, format!("{open}auth: {{bearer_token_file: {}/token}}\n", folder.path().display())).unwrap();
    let bridge = Bridge::spawn(program(folder.path()), 0, &public);
    bridge.wait_for_log("address=0.0.0.0:");
    std::fs::write(&file, &open).unwrap();
    kill_process(Pid::from_child(&bridge.child), Signal::HUP).unwrap();
    bridge.wait_for_log("the bridge listens on an address that can be reached from everywhere");

    // The former one stays in force.
    let log = bridge.log();
    let address = log.split("address=127.0.0.1:").nth(1).unwrap().split_whitespace().next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{address}")).unwrap();
    stream.write_all(b"POST /-/reload HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 401 "), "{answer}");
}
