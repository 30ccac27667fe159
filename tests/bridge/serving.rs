//! Where the bridge listens and where it does not.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::program::{Bridge, program, run};

#[test]
fn on_an_address_that_everybody_reaches_auth_of_the_configuration_is_not_enough() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "correct horse\n").unwrap();
    // It asks who posts. What waits for whom, and the metrics, it shows to everybody.
    let configuration = format!(
        "store: {0}/bridge.db\ndelivery: console\nchats: {{a: {{}}}}\ndefault_chat: a\nauth: {{bearer_token_file: {0}/token}}\n",
        folder.path().display()
    );
    std::fs::write(folder.path().join("bridge.yml"), configuration).unwrap();
    let public = ["--web.listen-address", "0.0.0.0:0"];
    let (code, _, said) = run(folder.path(), &[&["serve", "--config.file", "bridge.yml"][..], &public].concat());
    assert!(code == 64 && said.contains("can be reached from everywhere"), "{code}: {said}");
    assert!(!folder.path().join("bridge.db").exists());

    let web = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/web-config/valid/passwords.yml");
    let guarded = [&public[..], &["--web.config.file", web]].concat();
    let bridge = Bridge::spawn(program(folder.path()), 0, &guarded);
    bridge.wait_for_log("address=0.0.0.0:");
    let log = bridge.log();
    let port = log.split("address=127.0.0.1:").nth(1).unwrap().split_whitespace().next().unwrap();
    let status = |request: &str| {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.write_all(format!("{request} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_whitespace().nth(1).map(str::to_owned)
    };
    for (request, code) in
        [("GET /metrics", "401"), ("GET /", "401"), ("POST /-/reload", "401"), ("GET /-/healthy", "200")]
    {
        assert_eq!(status(request).as_deref(), Some(code), "{request}");
    }
}
