//! Asks a running program whether it is healthy, for container engines that would need a shell and curl otherwise.
//!
//! One request of HTTP/1.0 is written by hand: its answer ends with the connection and is never in pieces, so that
//! neither program needs a client library for it. Over TLS any certificate is taken: nothing secret is asked or told, and
//! whether it is one that others trust is theirs to judge.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::guard;
use super::listen::as_reached_from_here;
use crate::command_line::timeout;
use crate::config_file::ConfigError;

/// More than the longest answer: what is wrong with the bridge, a line each.
const LONGEST_ANSWER: u64 = 16 * 1024;

/// What to ask; `PORT` is the one that the program listens on where nothing else is said.
#[derive(Debug, Clone, Args)]
pub struct HealthcheckArguments<const PORT: u16> {
    /// Ask at the address that the program listens on, host:port or unix:/path/of/a/socket; 0.0.0.0 and :: are asked on this machine
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value_t = format!("127.0.0.1:{PORT}"))]
    pub listen_address: String,
    /// Ask over TLS, where the program has this file and it says so
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Ask whether it does what it is for (`/-/ready`), not only whether it serves (`/-/healthy`)
    #[arg(long)]
    pub ready: bool,
    /// Give up when it takes longer
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = timeout)]
    pub timeout: Duration,
}

/// Why a program is not healthy, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// It is no address, or its host has none.
    #[error(
        "{address:?} is not an address to ask; write host:port, as in 127.0.0.1:9000 or [::1]:9000, or unix:/path/of/a/socket"
    )]
    Address {
        /// The address as typed.
        address: String,
        /// What the resolver said.
        #[source]
        source: std::io::Error,
    },
    /// The file that says whether to ask over TLS is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nothing listens there, or it went away while it was asked.
    #[error("{url} can not be asked; does it run, and listen there?")]
    Unreachable {
        /// Who was asked, and for what.
        url: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It hangs.
    #[error("{url} has not answered within {}", humantime::format_duration(*timeout))]
    Timeout {
        /// Who was asked, and for what.
        url: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// Something else listens there.
    #[error("what listens there does not answer {url} with HTTP; where it speaks TLS, --web.config.file says so")]
    NoHttp {
        /// Who was asked, and for what.
        url: String,
    },
    /// It says so itself.
    #[error("{url} says {status}: {answer}")]
    Unhealthy {
        /// Who was asked, and for what.
        url: String,
        /// The status of its answer.
        status: u16,
        /// What is wrong, in one line.
        answer: String,
    },
}

impl HealthcheckError {
    /// Whether the question was wrong, and not the answer.
    pub fn is_usage(&self) -> bool {
        matches!(self, HealthcheckError::Address { .. } | HealthcheckError::Config(_))
    }
}

/// Asks, and gives the program's answer in one line.
pub fn ask<const PORT: u16>(arguments: &HealthcheckArguments<PORT>) -> Result<String, HealthcheckError> {
    let path = if arguments.ready { "/-/ready" } else { "/-/healthy" };
    let is_encrypted = arguments.config_file.as_deref().map(guard::is_encrypted).transpose()?.unwrap_or(false);
    let address = &arguments.listen_address;
    let url = format!("{}://{address}{path}", if is_encrypted { "https" } else { "http" });
    let unreachable = |source| HealthcheckError::Unreachable { url: url.clone(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
    let asked = runtime.block_on(async {
        let exchanged = async {
            let connection = connect(address).await?;
            exchange(connection, address, path, is_encrypted).await.map_err(Failure::Unreachable)
        };
        tokio::time::timeout(arguments.timeout, exchanged).await
    });
    // A resolver that hangs must not keep the answer.
    runtime.shutdown_background();
    let answer = match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(Failure::Address(source))) => {
            return Err(HealthcheckError::Address { address: address.clone(), source });
        }
        Ok(Err(Failure::Unreachable(source))) => return Err(unreachable(source)),
        Err(_) => return Err(HealthcheckError::Timeout { url, timeout: arguments.timeout }),
    };
    match read_answer(&answer) {
        None => Err(HealthcheckError::NoHttp { url }),
        Some((200, body)) => Ok(body),
        Some((status, answer)) => Err(HealthcheckError::Unhealthy { url, status, answer }),
    }
}

enum Failure {
    Address(io::Error),
    Unreachable(io::Error),
}

trait Connection: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Connection for T {}

async fn connect(address: &str) -> Result<Box<dyn Connection>, Failure> {
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok(Box::new(UnixStream::connect(path).await.map_err(Failure::Unreachable)?));
    }
    // Who listens on `:port` listens on all addresses.
    let host = if address.starts_with(':') { "0.0.0.0" } else { "" };
    let resolved = tokio::net::lookup_host(format!("{host}{address}")).await.map_err(Failure::Address)?;
    let resolved: Vec<_> = resolved.map(as_reached_from_here).collect();
    Ok(Box::new(TcpStream::connect(&*resolved).await.map_err(Failure::Unreachable)?))
}

async fn exchange(
    connection: Box<dyn Connection>,
    address: &str,
    path: &str,
    is_encrypted: bool,
) -> io::Result<Vec<u8>> {
    let mut connection = if is_encrypted { encrypted(connection, address).await? } else { connection };
    let host = if address.starts_with("unix:") { "localhost" } else { address };
    connection.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    match connection.take(LONGEST_ANSWER).read_to_end(&mut answer).await {
        // Who was not understood may be cut off after the answer.
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

async fn encrypted(connection: Box<dyn Connection>, address: &str) -> io::Result<Box<dyn Connection>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let name = match ServerName::try_from(host) {
        Ok(name) => name,
        Err(_) => ServerName::try_from("localhost").map_err(io::Error::other)?,
    };
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, connection).await?))
}

/// Takes any certificate whose key the other end has.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The status and the body of an answer, the body in one line.
fn read_answer(answer: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let status = text.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let lines: Vec<_> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Some((status, lines.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    type Arguments = HealthcheckArguments<10119>;

    /// Answers the first request with this; gives where, and what was asked once it has answered.
    fn answering(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            let length = connection.read(&mut asked).unwrap();
            connection.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (address, served)
    }

    fn asking(listen_address: impl ToString) -> Arguments {
        let listen_address = listen_address.to_string();
        Arguments { listen_address, config_file: None, ready: false, timeout: Duration::from_secs(60) }
    }

    #[test]
    fn who_is_healthy_is_asked_where_it_listens() {
        let (address, served) = answering("HTTP/1.0 200 OK\r\ncontent-length: 8\r\n\r\nhealthy\n");
        assert_eq!(ask(&asking(format!("0.0.0.0:{}", address.port()))).unwrap(), "healthy");
        assert!(served.join().unwrap().starts_with("GET /-/healthy HTTP/1.0\r\nHost: "));
    }

    #[test]
    fn a_unix_socket_and_all_addresses_are_asked_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let served = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = [0; 512];
            let length = connection.read(&mut asked).unwrap();
            connection.write_all(b"HTTP/1.0 200 OK\r\n\r\nhealthy\n").unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        assert_eq!(ask(&asking(format!("unix:{}", path.display()))).unwrap(), "healthy");
        assert_eq!(served.join().unwrap(), "GET /-/healthy HTTP/1.0\r\nHost: localhost\r\n\r\n");
        std::fs::remove_file(&path).unwrap();
        let error = ask(&asking(format!("unix:{}", path.display()))).unwrap_err();
        assert!(error.to_string().starts_with(&format!("http://unix:{}/-/healthy can not be asked", path.display())));

        let (address, served) = answering("HTTP/1.0 200 OK\r\n\r\nhealthy\n");
        assert_eq!(ask(&asking(format!(":{}", address.port()))).unwrap(), "healthy");
        served.join().unwrap();
    }

    #[test]
    fn a_program_that_speaks_tls_is_asked_so_whoever_has_made_its_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("web.yml");
        std::fs::write(&file, "tls_server_config: {cert_file: a, key_file: b}\n").unwrap();
        let made = rcgen::generate_simple_self_signed(["elsewhere.example".to_owned()]).unwrap();
        let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], made.signing_key.serialize_der().try_into().unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            for _ in 0..2 {
                let (connection, _) = listener.accept().unwrap();
                let session = tokio_rustls::rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = tokio_rustls::rustls::StreamOwned::new(session, connection);
                if stream.read(&mut [0; 512]).is_ok() {
                    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhealthy\n").unwrap();
                    stream.conn.send_close_notify();
                    stream.flush().unwrap();
                }
            }
        });
        let encrypted = |config_file| Arguments { config_file, ..asking(address) };
        assert_eq!(ask(&encrypted(Some(file.clone()))).unwrap(), "healthy");
        let error = ask(&encrypted(None)).unwrap_err();
        assert!(matches!(error, HealthcheckError::NoHttp { .. } | HealthcheckError::Unreachable { .. }), "{error:?}");
        served.join().unwrap();
        std::fs::write(&file, "basic_auth_users:\n").unwrap();
        let (address, served) = answering("HTTP/1.0 200 OK\r\n\r\nhealthy\n");
        assert_eq!(ask(&Arguments { config_file: Some(file.clone()), ..asking(address) }).unwrap(), "healthy");
        served.join().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(ask(&encrypted(Some(file))).is_err_and(|error| error.is_usage()));
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        let (address, served) = answering("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready\n\n no token\n");
        let error = ask(&Arguments { ready: true, ..asking(address) }).unwrap_err();
        assert_eq!(error.to_string(), format!("http://{address}/-/ready says 503: not ready; no token"));
        assert!(!error.is_usage() && served.join().unwrap().starts_with("GET /-/ready "));

        let (address, served) = answering("220 mail.example ESMTP\r\n");
        assert!(matches!(ask(&asking(address)), Err(HealthcheckError::NoHttp { .. })));
        served.join().unwrap();
    }

    #[test]
    fn of_a_long_answer_only_the_beginning_is_read() {
        let long: &'static str = Box::leak(format!("HTTP/1.0 200 OK\r\n\r\n{}", "x".repeat(20_000)).into_boxed_str());
        let (address, served) = answering(long);
        assert!(ask(&asking(address)).unwrap().len() < LONGEST_ANSWER as usize);
        // Who answers need not have got rid of it all.
        let _ = served.join();
    }

    #[test]
    fn nobody_there_and_somebody_who_does_not_answer_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let hasty = Arguments { timeout: Duration::from_millis(50), ..asking(address) };
        assert!(matches!(ask(&hasty), Err(HealthcheckError::Timeout { .. })));
        drop(listener);
        assert!(matches!(ask(&asking(address)), Err(HealthcheckError::Unreachable { .. })));
    }

    #[test]
    fn what_is_no_address_is_bad_usage() {
        for wrong in ["", "10119", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(ask(&asking(wrong)).is_err_and(|error| error.is_usage()), "{wrong}");
        }
    }
}
