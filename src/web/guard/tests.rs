//! Handshakes, and certificates that are replaced while serving.

use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::PROVIDER;
use super::trial::{Authority, Folder, pem, soon};
use super::*;

/// What a handshake comes to.
#[derive(Debug)]
struct Met {
    client: Client,
    shown: CertificateDer<'static>,
    version: ProtocolVersion,
    alpn: Option<Vec<u8>>,
    is_resumed: bool,
}

/// Somebody who trusts this authority, and may have a certificate and its key.
fn client(authority: &str, own: Option<&(String, String)>) -> ClientConfig {
    client_of(authority, own, &[&version::TLS13])
}

fn client_of(
    authority: &str,
    own: Option<&(String, String)>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider: Arc<CryptoProvider> = Arc::new(PROVIDER.clone());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = config.with_root_certificates(roots);
    let Some((certificate, key)) = own else { return config.with_no_client_auth() };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
}

async fn meet(guard: &Guard, config: ClientConfig) -> Result<Met, io::Error> {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(config));
    let connect = async {
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), there).await?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        // In TLS 1.3 who connects is finished first, and is told afterwards whether its certificate is taken.
        let mut nothing = [0; 1];
        tokio::io::AsyncReadExt::read(&mut stream, &mut nothing).await?;
        Ok::<_, io::Error>(shown)
    };
    let accept = async {
        let mut stream = TlsAcceptor::from(guard.tls().unwrap()).accept(here).await?;
        let connection = stream.get_ref().1;
        let client = guard.client(connection);
        let version = connection.protocol_version().unwrap();
        let alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
        let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
        Ok::<_, io::Error>((client, version, alpn, is_resumed))
    };
    let (connected, accepted) = tokio::join!(connect, accept);
    let (client, version, alpn, is_resumed) = accepted?;
    Ok(Met { client, shown: connected?, version, alpn, is_resumed })
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn with_client_auth(kind: &str) -> String {
    format!(
        "tls_server_config: {{cert_file: server.crt, key_file: server.key, client_ca_file: authority.crt, client_auth_type: {kind}}}\n"
    )
}

const PLAIN: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";

#[tokio::test]
async fn connections_are_encrypted_with_the_versions_that_are_allowed() {
    let folder = Folder::new();
    for (limits, old, new) in [
        ("", true, true),
        (", min_version: TLS13", false, true),
        (", max_version: TLS12", true, false),
        (", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]", true, true),
        // The key of the certificate is none of RSA.
        (", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", false, true),
    ] {
        let guard = folder.guard(&PLAIN.replace("}", &format!("{limits}}}")));
        for (version, is_allowed) in [(&version::TLS12, old), (&version::TLS13, new)] {
            let met = meet(&guard, client_of(&folder.authority.pem(), None, &[version])).await;
            assert_eq!(
                met.as_ref().ok().map(|met| met.version),
                is_allowed.then_some(version.version),
                "{limits} {met:?}"
            );
        }
    }
    let mut browser = client(&folder.authority.pem(), None);
    browser.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(meet(&folder.guard(PLAIN), browser).await.unwrap().alpn.unwrap(), b"http/1.1");
}

#[tokio::test]
async fn certificates_of_clients_are_judged_as_the_file_says() {
    let folder = Folder::new();
    let authority = folder.authority.pem();
    let good = folder.authority.issue(&["prometheus.example"], 2200);
    let expired = folder.authority.issue(&["prometheus.example"], 2001);
    let foreign = Authority::new("authority").issue(&["prometheus.example"], 2200);
    let somebody = Some(Client::Certified);
    let nobody = Some(Client::Anonymous);
    for (kind, without, with_good, with_expired, with_foreign) in [
        ("RequestClientCert", nobody, nobody, nobody, nobody),
        ("RequireAnyClientCert", nobody, somebody, somebody, somebody),
        ("RequireClientCert", nobody, somebody, somebody, somebody),
        ("VerifyClientCertIfGiven", nobody, somebody, None, None),
        ("RequireAndVerifyClientCert", nobody, somebody, None, None),
    ] {
        let guard = folder.guard(&with_client_auth(kind));
        for version in [&version::TLS12, &version::TLS13] {
            for (own, expected) in [
                (None, without),
                (Some(&good), with_good),
                (Some(&expired), with_expired),
                (Some(&foreign), with_foreign),
            ] {
                let met = meet(&guard, client_of(&authority, own, &[version])).await;
                let known = met.as_ref().ok().map(|met| met.client);
                assert_eq!(known, expected, "{kind} {met:?}");
            }
        }
    }
    // Who is not asked shows none.
    let met = meet(&folder.guard(PLAIN), client(&authority, Some(&good))).await.unwrap();
    assert_eq!(met.client, Client::Anonymous);
}

#[tokio::test]
async fn only_certificates_with_a_name_in_the_list_are_taken() {
    let folder = Folder::new();
    let allowed = "client_allowed_sans: [prometheus.example, uma@example.org, 192.0.2.1, 'spiffe://example.org/a']}";
    for kind in ["RequireAndVerifyClientCert", "RequireAnyClientCert"] {
        let guard = folder.guard(&with_client_auth(kind).replace('}', &format!(", {allowed}")));
        for (names, is_taken) in [
            (&["prometheus.example"][..], true),
            (&["other.example", "192.0.2.1"], true),
            (&["uma@example.org"], true),
            (&["spiffe://example.org/a"], true),
            (&["spiffe://example.org/b", "192.0.2.2", "bheem@example.org", "sub.prometheus.example"], false),
            (&["*.example"], false),
            (&[], false),
        ] {
            let own = folder.authority.issue(names, 2200);
            let met = meet(&guard, client(&folder.authority.pem(), Some(&own))).await;
            assert_eq!(met.is_ok(), is_taken, "{names:?} {met:?}");
        }
        // Who shows none may still ask whether the program is healthy.
        assert_eq!(meet(&guard, client(&folder.authority.pem(), None)).await.unwrap().client, Client::Anonymous);
    }
}

#[tokio::test]
async fn a_certificate_that_is_replaced_in_two_steps_fails_no_handshake() {
    let folder = Folder::new();
    let guard = folder.guard(PLAIN);
    let shown = async |guard: &Guard| meet(guard, client(&folder.authority.pem(), None)).await.unwrap().shown;
    let former = std::fs::read_to_string(folder.path("server.crt")).unwrap();
    let (new, key) = folder.authority.issue(&["localhost"], 2150);
    guard.look(soon());
    assert_eq!(shown(&guard).await, certificate(&former));

    folder.write("server.crt", &new);
    guard.look(soon());
    assert_eq!(shown(&guard).await, certificate(&former));
    let half = guard.facts().unwrap();
    assert!(!half.is_loaded && half.certificate_expiry.unwrap().seconds() == 7_258_118_400.0);

    folder.write("server.key", &key);
    guard.look(soon());
    assert_eq!(shown(&guard).await, certificate(&new));
    let whole = guard.facts().unwrap();
    assert!(whole.is_loaded && whole.certificate_expiry.unwrap().seconds() == 5_680_281_600.0, "{whole:?}");
}

#[tokio::test]
async fn what_is_not_valid_leaves_the_former_in_force_until_it_is() {
    let folder = Folder::new();
    let guard = folder.guard(PLAIN);
    let former = guard.tls().unwrap();
    let key = std::fs::read_to_string(folder.path("server.key")).unwrap();
    let (other, other_key) = folder.authority.issue(&["localhost"], 2200);
    folder.write("other.crt", &other);
    folder.write("other.key", &other_key);
    for (step, is_loaded) in [
        (
            &(|| {
                folder.write("server.key", "");
            }) as &dyn Fn(),
            false,
        ),
        (&|| std::fs::remove_file(folder.path("server.key")).unwrap(), false),
        // The file itself is broken now, and what it named is looked at all the same once it is not.
        (
            &|| {
                folder.write("web.yml", "");
            },
            false,
        ),
        (
            &|| {
                folder.write("server.key", &key);
            },
            false,
        ),
        (
            &|| {
                folder.write("web.yml", "tls_server_confg: {}\n");
            },
            false,
        ),
        (&|| std::fs::remove_file(folder.path("web.yml")).unwrap(), false),
        // Neither encryption nor who may ask comes or goes while serving.
        (
            &|| {
                folder.write("web.yml", "rate_limit: {interval: 1s, burst: 1}\n");
            },
            false,
        ),
        (
            &|| {
                folder.write("web.yml", &with_client_auth("RequestClientCert"));
            },
            false,
        ),
    ] {
        step();
        guard.look(soon());
        assert_eq!(guard.facts().unwrap().is_loaded, is_loaded);
        assert!(Arc::ptr_eq(&guard.tls().unwrap(), &former));
    }
    folder.write("web.yml", "tls_server_config: {cert_file: other.crt, key_file: other.key}\n");
    guard.look(soon());
    assert!(guard.facts().unwrap().is_loaded);
    let shown = meet(&guard, client(&folder.authority.pem(), None)).await.unwrap().shown;
    assert_eq!(shown, certificate(&other));
}

#[tokio::test]
async fn another_authority_of_clients_counts_at_once() {
    let folder = Folder::new();
    let guard = folder.guard(&with_client_auth("RequireAndVerifyClientCert"));
    let next = Authority::new("next");
    let (former, new) = (folder.authority.issue(&[], 2200), next.issue(&[], 2200));
    let takes = async |own| {
        meet(&guard, client(&folder.authority.pem(), Some(own))).await.is_ok_and(|met| met.client == Client::Certified)
    };
    assert!(takes(&former).await && !takes(&new).await);
    folder.write("authority.crt", &next.pem());
    guard.look(soon());
    assert!(!takes(&former).await && takes(&new).await);
}

#[test]
fn what_is_being_written_is_left_alone_until_it_rests() {
    let folder = Folder::new();
    let guard = folder.guard(PLAIN);
    let former = guard.tls().unwrap();
    folder.write("web.yml", "rate");
    guard.look(SystemTime::now());
    assert!(guard.facts().unwrap().is_loaded);
    guard.look(soon());
    assert!(!guard.facts().unwrap().is_loaded);
    folder.write("web.yml", PLAIN);
    guard.look(soon());
    assert!(guard.facts().unwrap().is_loaded && !Arc::ptr_eq(&guard.tls().unwrap(), &former));
    // What has not changed is not read again.
    let former = guard.tls().unwrap();
    guard.look(soon());
    guard.look(soon());
    assert!(Arc::ptr_eq(&guard.tls().unwrap(), &former));
}

#[test]
fn a_thread_looks_by_itself_and_ends_with_the_guard() {
    let folder = Folder::new();
    let guard = Guard::load(Some(&folder.write("web.yml", PLAIN))).unwrap();
    folder.write("web.yml", "broken");
    while guard.facts().unwrap().is_loaded {
        std::thread::yield_now();
    }
    let watched = Arc::downgrade(&guard);
    drop(guard);
    while watched.upgrade().is_some() {
        std::thread::yield_now();
    }
    assert!(matches!(Guard::load(Some(&folder.path("nowhere.yml"))), Err(GuardError::Config(_))));
    assert!(Guard::load(None).unwrap().tls().is_none());
}

#[test]
fn of_several_certificates_the_first_is_the_servers() {
    let folder = Folder::new();
    let text = PLAIN.replace("server.crt", "chain.crt");
    let expiry = folder.guard(&text).facts().unwrap().certificate_expiry.unwrap();
    assert_eq!(expiry.seconds(), 7_258_118_400.0);
    let swapped = format!("{}{}", folder.authority.pem(), std::fs::read_to_string(folder.path("server.crt")).unwrap());
    let path = folder.write("chain.crt", &swapped).with_file_name("web.yml");
    assert!(Guard::read(&path).unwrap_err().to_string().contains("the server's own is the first"));
    assert!(pem("CERTIFICATE", b"a").starts_with("-----BEGIN CERTIFICATE-----\nYQ==\n"));
}

#[tokio::test]
async fn a_session_that_is_resumed_is_that_of_the_same_client_until_the_authority_changes() {
    let folder = Folder::new();
    let guard = folder.guard(&with_client_auth("RequireAndVerifyClientCert"));
    let own = folder.authority.issue(&[], 2200);
    for version in [&version::TLS12, &version::TLS13] {
        // Copies of it have one memory of sessions.
        let config = client_of(&folder.authority.pem(), Some(&own), &[version]);
        for is_resumed in [false, true, true] {
            let met = meet(&guard, config.clone()).await.unwrap();
            assert_eq!((met.client, met.is_resumed), (Client::Certified, is_resumed), "{version:?}");
        }
        let former = folder.authority.pem();
        folder.write("authority.crt", &Authority::new("next").pem());
        guard.look(soon());
        assert!(meet(&guard, config.clone()).await.is_err(), "{version:?}");
        folder.write("authority.crt", &former);
        guard.look(soon());
    }
}

const DOCUMENT: &str = include_str!("../../../docs/web-configuration.md");

/// The blocks of code of this kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let start = format!("```{kind}\n");
    DOCUMENT.split(&*start).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

#[test]
fn every_key_and_every_word_is_documented() {
    for text in [
        "a: b",
        "tls_server_config: {a: b}",
        "http_server_config: {a: b}",
        "http_server_config: {headers: {a: b}}",
        "rate_limit: {a: b}",
    ] {
        let Err(ConfigError::UnknownKey { known, .. }) = raw::parse(Path::new("f"), text) else { panic!("{text}") };
        assert!(known.len() > 1);
        for key in known {
            assert!(DOCUMENT.contains(&format!("`{key}`")), "{key}");
        }
    }
    let words = client_certificates::ClientAuth::NAMES.iter().map(|(word, _)| *word);
    let words = words.chain(certificates::VERSIONS.iter().map(|(word, _)| *word));
    for word in words.chain(certificates::CURVES.iter().map(|(word, _)| *word)) {
        assert!(DOCUMENT.contains(&format!("`{word}`")), "{word}");
    }
    for (suite, _) in certificates::CIPHER_SUITES {
        assert!(DOCUMENT.contains(&format!("`{}`", suite.replace("_RSA_", "_ECDSA_"))), "{suite}");
    }
}

/// The examples are taken as they stand; and where there is openssl, certificates are made as it is said there.
#[tokio::test]
async fn what_the_document_says_works() {
    let folder = Folder::new();
    let mut own = None;
    if std::process::Command::new("openssl").arg("version").output().is_ok() {
        let commands = blocks("sh").into_iter().find(|block| block.contains("openssl req")).unwrap();
        let made =
            std::process::Command::new("sh").args(["-euc", commands]).current_dir(folder.root()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let read = |name| std::fs::read_to_string(folder.path(name)).unwrap();
        own = Some((read("client.crt"), read("client.key")));
    } else {
        println!("openssl is not installed; how the document makes certificates was not tried");
    }
    let mut tried = 0;
    for block in blocks("yaml") {
        if !block.starts_with("# web.yml") {
            serde_saphyr::from_str::<serde_json::Value>(block).unwrap();
            continue;
        }
        let guard = folder.guard(block);
        assert!(guard.has_authentication());
        let authority = std::fs::read_to_string(folder.path("authority.crt")).unwrap();
        let met = meet(&guard, client(&authority, own.as_ref())).await.unwrap();
        assert_eq!(met.client, if own.is_some() { Client::Certified } else { Client::Anonymous });
        tried += 1;
    }
    assert_eq!((tried, blocks("yaml").len()), (1, 3));
}
