//! One request against servers that behave in every way there is.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderValue;

use super::connect::{ConnectError, Place};
use super::scripted::{Script, Server, answer, refusing};
use super::*;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);
const MOST: usize = 64 * 1024;

fn get(timeout: Duration) -> Get {
    Get {
        path: "/a?b=c".to_owned(),
        host: HeaderValue::from_static("hermes.example:9"),
        body: BodyUse::UpTo(MOST),
        timeout,
    }
}

async fn outcome_of(script: Script, timeout: Duration) -> Outcome {
    let server = Server::plain(script).await;
    let client = Client::plain(Place::host("127.0.0.1", server.address.port()));
    client.get(&get(timeout)).await
}

#[tokio::test]
async fn a_request_is_what_it_should_be_and_its_answer_is_given_back() {
    let server = Server::plain(Script::Answer(answer("418 I'm a teapot", "short and stout"))).await;
    let outcome = Client::plain(Place::host("127.0.0.1", server.address.port())).get(&get(LONG)).await;
    let answer = outcome.answer.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (418, &b"short and stout"[..]));
    assert_eq!((outcome.status.unwrap().as_u16(), outcome.certificate_expiry), (418, None));
    let expected = format!(
        "GET /a?b=c HTTP/1.1\r\nhost: hermes.example:9\r\nuser-agent: {AGENT}\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(server.requests(), [expected]);
}

#[tokio::test]
async fn a_body_may_come_in_any_way_that_http_knows() {
    for wire in [
        "HTTP/1.0 200 OK\r\n\r\nwhole",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole",
    ] {
        let outcome = outcome_of(Script::Answer(wire.into()), LONG).await;
        assert_eq!(&outcome.answer.unwrap().body[..], b"whole", "{wire:?}");
    }
}

#[tokio::test]
async fn an_ignored_body_is_not_waited_for() {
    let script = Script::Hang(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 99\r\n\r\n".to_vec());
    let server = Server::plain(script).await;
    let client = Client::plain(Place::host("127.0.0.1", server.address.port()));
    let outcome = client.get(&Get { body: BodyUse::Ignored, ..get(LONG) }).await;
    assert_eq!(outcome.answer.unwrap().status.as_u16(), 302);
    assert_eq!(server.requests().len(), 1, "a redirect is not followed");
}

#[tokio::test]
async fn who_says_nothing_or_not_enough_runs_out_of_time() {
    let hang = |bytes: &str| Script::Hang(bytes.as_bytes().to_vec());
    for (script, status) in [
        (hang(""), None),
        (hang("HTTP/1.1 200 OK\r\ncontent-le"), None),
        (hang("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwho"), Some(200)),
    ] {
        let outcome = outcome_of(script, SHORT).await;
        assert!(matches!(outcome.answer, Err(HttpError::Timeout { stage: Stage::Answer, .. })), "{outcome:?}");
        assert_eq!(outcome.status.map(|status| status.as_u16()), status);
        assert!(outcome.took >= SHORT);
    }
}

#[tokio::test]
async fn what_is_too_long_is_not_read_to_its_end() {
    let endless = |head: &str, more: &str| Script::Endless(head.into(), more.into());
    for script in [
        endless("HTTP/1.1 200 OK\r\n", "x-filler: 0123456789012345678901234567890123456789\r\n"),
        endless("HTTP/1.1 200 OK\r\nx-filler: ", "0123456789012345678901234567890123456789"),
        endless("HTTP/1.1 200 OK\r\n\r\n", "0123456789"),
        endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "5\r\nagain\r\n"),
        // Refused by what it announces.
        Script::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n".to_vec()),
    ] {
        let outcome = outcome_of(script.clone(), LONG).await;
        assert!(matches!(outcome.answer, Err(HttpError::TooLarge)), "{outcome:?} {script:?}");
    }
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nx-filler: {}\r\n\r\n", "x".repeat(length)).into_bytes();
    assert!(outcome_of(Script::Answer(head(LONGEST_HEAD - 100)), LONG).await.answer.is_ok());
    let outcome = outcome_of(Script::Answer(head(LONGEST_HEAD)), LONG).await;
    assert!(matches!(outcome.answer, Err(HttpError::TooLarge)), "{outcome:?}");
    let exactly = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(MOST));
    assert_eq!(outcome_of(Script::Answer(exactly.into()), LONG).await.answer.unwrap().body.len(), MOST);
}

#[tokio::test]
async fn who_closes_too_early_has_closed() {
    for script in [
        Script::Close,
        Script::Answer(Vec::new()),
        Script::Answer(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        Script::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()),
    ] {
        let outcome = outcome_of(script.clone(), LONG).await;
        assert!(matches!(outcome.answer, Err(HttpError::Closed(_))), "{outcome:?} {script:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_not_http() {
    for wire in ["SSH-2.0-OpenSSH_9.2p1\r\n", "\0\0\0\0", "220 mail.example ESMTP\r\n", "HTTP/1.1 dog OK\r\n\r\n"] {
        let outcome = outcome_of(Script::Answer(wire.into()), LONG).await;
        assert!(matches!(outcome.answer, Err(HttpError::NotHttp(_))), "{outcome:?} {wire:?}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_refuses() {
    let (unused, _socket) = refusing();
    let client = Client::plain(Place::host("127.0.0.1", unused.port()));
    let outcome = client.get(&get(LONG)).await;
    assert!(matches!(outcome.answer, Err(HttpError::Connect(ConnectError::Refused(_)))), "{outcome:?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_known_to_have_none() {
    // Longer than a name can be, so that nobody is asked.
    let client = Client::plain(Place::host(&format!("{}.invalid", "a".repeat(64)), 80));
    let outcome = client.get(&get(LONG)).await;
    assert!(matches!(outcome.answer, Err(HttpError::Connect(ConnectError::Name(_)))), "{outcome:?}");
}

#[tokio::test]
async fn a_name_is_looked_up() {
    // Also where it has an IPv6 address at which nobody listens.
    let server = Server::plain(Script::Answer(answer("200 OK", ""))).await;
    let client = Client::plain(Place::host("localhost", server.address.port()));
    for _ in 0..2 {
        assert!(client.get(&get(LONG)).await.answer.is_ok());
    }
}

#[tokio::test]
async fn no_connection_outlives_its_request() {
    let server = Server::plain(Script::Hang(b"HTTP/1.1 200 OK\r\n".to_vec())).await;
    let port = server.address.port();
    for _ in 0..20 {
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..50 {
            requests.spawn(async move {
                let client = Client::plain(Place::host("127.0.0.1", port));
                let outcome = client.get(&get(Duration::from_millis(5 + number % 7))).await;
                assert!(matches!(outcome.answer, Err(HttpError::Timeout { .. })), "{outcome:?}");
            });
        }
        while let Some(ended) = requests.join_next().await {
            ended.unwrap();
        }
    }
    // One that is dropped in the middle, once the server has read it.
    let before = server.requests().len();
    let client = Client::plain(Place::host("127.0.0.1", port));
    let dropped = async {
        while server.requests().len() == before {
            tokio::task::yield_now().await;
        }
    };
    let request = get(LONG);
    tokio::select! {
        outcome = client.get(&request) => panic!("{outcome:?}"),
        () = dropped => {}
    }
    // The server sees the end of each, or this goes on for ever.
    let accepted = || server.accepted.load(Ordering::SeqCst);
    while accepted() == 0 || server.ended.load(Ordering::SeqCst) < accepted() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_socket_in_the_filesystem_is_asked_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let client = Client::plain(Place::socket(path.clone()));
    let outcome = client.get(&get(LONG)).await;
    assert!(matches!(outcome.answer, Err(HttpError::Connect(ConnectError::NoSocket(_)))), "{outcome:?}");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let outcome = client.get(&get(LONG)).await;
    assert!(matches!(outcome.answer, Err(HttpError::Connect(ConnectError::Refused(_)))), "{outcome:?}");
    std::fs::remove_file(&path).unwrap();
    let _server = Server::unix(&path, Script::Answer(answer("200 OK", "here")));
    assert_eq!(&client.get(&get(LONG)).await.answer.unwrap().body[..], b"here");
}

mod connecting {
    use super::super::connect::first_of;
    use super::*;
    use std::net::SocketAddr;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    /// An address where somebody listens and does not answer: nothing more fits into its queue.
    async fn silent() -> (SocketAddr, TcpListener, Vec<tokio::task::JoinHandle<std::io::Result<TcpStream>>>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let first = TcpStream::connect(address).await;
        let filler = vec![tokio::spawn(async move { first }), tokio::spawn(TcpStream::connect(address))];
        (address, listener, filler)
    }

    #[tokio::test]
    async fn an_address_that_hangs_does_not_keep_the_next_one_waiting_for_ever() {
        let (silent, _listener, _filler) = silent().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind(good).await.unwrap();
        let stream = tokio::time::timeout(LONG, first_of([silent, good].into_iter())).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[tokio::test]
    async fn of_several_failures_the_one_that_says_most_is_told() {
        let (refusing, _socket) = refusing();
        // Broadcasting is not permitted to a stream: the kernel says that there is no way there.
        let nowhere: SocketAddr = "255.255.255.255:9".parse().unwrap();
        for order in [[refusing, nowhere], [nowhere, refusing]] {
            let error = first_of(order.into_iter()).await.unwrap_err();
            assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
        }
        let error = first_of([nowhere].into_iter()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable(_) | ConnectError::Permission(_)), "{error:?}");
    }
}

mod over_tls {
    use super::super::tls::Trust;
    use super::*;
    use base64::Engine;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    use std::path::Path;
    use std::sync::Arc;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    struct Authority {
        certificate: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Authority {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap().der().clone();
            Authority { certificate, issuer: Issuer::new(params, key) }
        }

        fn sign(&self, name: &str, last_year: i32) -> TlsAcceptor {
            let key = KeyPair::generate().unwrap();
            let certificate = params(name, last_year).signed_by(&key, &self.issuer).unwrap();
            acceptor(certificate.der().clone(), &key)
        }

        fn write(&self, path: &Path) {
            let text = base64::engine::general_purpose::STANDARD.encode(&self.certificate);
            let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
            std::fs::write(path, pem).unwrap();
        }
    }

    fn params(name: &str, last_year: i32) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        params
    }

    fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    fn seconds(year: i32) -> f64 {
        date_time_ymd(year, 1, 1).unix_timestamp() as f64
    }

    async fn outcome_of(acceptor: TlsAcceptor, host: &str, trust: Trust) -> Outcome {
        let server = Server::tls(Script::Answer(answer("200 OK", "secret")), acceptor).await;
        Client::tls(Place::host(host, server.address.port()), trust).get(&get(LONG)).await
    }

    #[tokio::test]
    async fn a_certificate_that_is_trusted_leads_to_an_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let authority = Authority::new();
        authority.write(&path);
        for (name, host) in [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost")] {
            let outcome = outcome_of(authority.sign(name, 2200), host, Trust::file(path.clone())).await;
            assert_eq!(&outcome.answer.unwrap().body[..], b"secret");
            assert_eq!(outcome.certificate_expiry, Some(seconds(2200)));
        }
    }

    #[tokio::test]
    async fn one_that_is_not_is_refused_and_its_end_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let authority = Authority::new();
        authority.write(&path);
        let own_key = KeyPair::generate().unwrap();
        let own = params("127.0.0.1", 2100).self_signed(&own_key).unwrap().der().clone();
        for (acceptor, year) in [
            (authority.sign("127.0.0.1", 2001), 2001),
            (authority.sign("elsewhere.example", 2100), 2100),
            (Authority::new().sign("127.0.0.1", 2100), 2100),
            (acceptor(own, &own_key), 2100),
        ] {
            let outcome = outcome_of(acceptor, "127.0.0.1", Trust::file(path.clone())).await;
            assert!(matches!(outcome.answer, Err(HttpError::Tls(_))), "{outcome:?}");
            assert_eq!((outcome.certificate_expiry, outcome.status), (Some(seconds(year)), None));
        }
    }

    #[tokio::test]
    async fn trust_follows_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let (former, present) = (Authority::new(), Authority::new());
        let script = Script::Answer(answer("200 OK", ""));
        let server = Server::tls(script, present.sign("127.0.0.1", 2200)).await;
        let place = Place::host("127.0.0.1", server.address.port());
        let client = Client::tls(place, Trust::file(path.clone()));
        let ask = async || client.get(&get(LONG)).await.answer;
        assert!(matches!(ask().await, Err(HttpError::NobodyTrusted)));
        std::fs::write(&path, "no certificate at all").unwrap();
        assert!(matches!(ask().await, Err(HttpError::Trust(_))));
        former.write(&path);
        assert!(matches!(ask().await, Err(HttpError::Tls(_))));
        present.write(&path);
        assert!(ask().await.is_ok());
    }

    #[tokio::test]
    async fn a_server_in_the_clear_is_not_taken_for_tls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        Authority::new().write(&path);
        let server = Server::plain(Script::Hang(Vec::new())).await;
        let client = Client::tls(Place::host("127.0.0.1", server.address.port()), Trust::file(path));
        // It waits for the end of a line that does not come.
        let outcome = client.get(&get(SHORT)).await;
        assert!(matches!(outcome.answer, Err(HttpError::Timeout { stage: Stage::Connect, .. })), "{outcome:?}");
        assert_eq!(outcome.certificate_expiry, None);
    }
}
