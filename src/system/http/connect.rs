//! From a place to a connection: looking up the name, and trying its addresses.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Stage;
use super::aside::Aside;

/// How long one address may keep the next one of the same name waiting.
const HEAD_START: Duration = Duration::from_millis(250);

/// The most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// Why there is no connection. Of several addresses, the one whose failure says most.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Somebody is there, and nobody listens.
    #[error("the connection was refused")]
    Refused(#[source] Error),
    /// The connection was made and at once closed.
    #[error("the connection was reset")]
    Reset(#[source] Error),
    /// Nobody is there, or there is no way to it.
    #[error("it can not be reached")]
    Unreachable(#[source] Error),
    /// Nobody has answered for so long that the kernel has given up.
    #[error("it did not answer")]
    Silent(#[source] Error),
    /// The name has no address, or nobody who could tell has answered.
    #[error("the name could not be looked up")]
    Name(#[source] Error),
    /// There is no socket at this path.
    #[error("there is no such socket")]
    NoSocket(#[source] Error),
    /// The operating system does not let this program connect.
    #[error("this program may not connect")]
    Permission(#[source] Error),
    /// Nothing was tried, for want of descriptors, ports, memory or whatever else this side needs.
    #[error("this program could not connect")]
    Ourselves(#[source] Error),
}

impl ConnectError {
    fn of(error: Error) -> ConnectError {
        match error.kind() {
            ErrorKind::ConnectionRefused => ConnectError::Refused(error),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => ConnectError::Reset(error),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
                ConnectError::Unreachable(error)
            }
            ErrorKind::TimedOut => ConnectError::Silent(error),
            ErrorKind::NotFound | ErrorKind::NotADirectory => ConnectError::NoSocket(error),
            ErrorKind::PermissionDenied => ConnectError::Permission(error),
            _ if Errno::from_io_error(&error) == Some(Errno::HOSTDOWN) => ConnectError::Unreachable(error),
            _ => ConnectError::Ourselves(error),
        }
    }

    /// How much it says of the peer, rather than of the way to it.
    fn weight(&self) -> u8 {
        match self {
            ConnectError::Refused(_) => 4,
            ConnectError::Reset(_) => 3,
            ConnectError::Silent(_) => 2,
            ConnectError::Unreachable(_) | ConnectError::NoSocket(_) => 1,
            ConnectError::Name(_) | ConnectError::Permission(_) | ConnectError::Ourselves(_) => 0,
        }
    }
}

/// Where somebody listens.
#[derive(Debug)]
pub struct Place(Kind);

#[derive(Debug)]
enum Kind {
    Address(SocketAddr),
    Name { name: String, port: u16, lookup: Aside<Result<Vec<SocketAddr>, Error>> },
    Socket(PathBuf),
}

impl Place {
    /// A host, by name or address (an IPv6 one with or without brackets), and a port.
    pub fn host(host: &str, port: u16) -> Place {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Place(match bare.parse::<IpAddr>() {
            Ok(address) => Kind::Address(SocketAddr::new(address, port)),
            Err(_) => Kind::Name { name: host.to_owned(), port, lookup: Aside::new() },
        })
    }

    /// A socket in the filesystem.
    pub fn socket(path: PathBuf) -> Place {
        Place(Kind::Socket(path))
    }

    /// The name that a certificate must be for.
    pub(super) fn tls_name(&self) -> Result<ServerName<'static>, ConnectError> {
        let unnamed = || ConnectError::Name(Error::from(ErrorKind::InvalidInput));
        match &self.0 {
            Kind::Address(address) => Ok(ServerName::from(address.ip())),
            Kind::Name { name, .. } => ServerName::try_from(name.clone()).map_err(|_| unnamed()),
            Kind::Socket(_) => Err(unnamed()),
        }
    }

    /// Connects to it.
    pub(super) async fn connect(&self, stage: &mut Stage) -> Result<Stream, ConnectError> {
        let addresses = match &self.0 {
            Kind::Socket(path) => {
                *stage = Stage::Connect;
                return UnixStream::connect(path).await.map(Stream::Unix).map_err(ConnectError::of);
            }
            Kind::Address(address) => vec![*address],
            Kind::Name { name, port, lookup } => {
                let wanted = (name.clone(), *port);
                let found =
                    lookup.join_or(stage, Stage::Lookup, move || wanted.to_socket_addrs().map(Iterator::collect)).await;
                found.unwrap_or_else(|| Err(Error::from(ErrorKind::Other))).map_err(|error| {
                    match Errno::from_io_error(&error) {
                        // Without a descriptor nobody was asked.
                        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => ConnectError::Ourselves(error),
                        _ => ConnectError::Name(error),
                    }
                })?
            }
        };
        *stage = Stage::Connect;
        first_of(addresses.into_iter().take(MOST_ADDRESSES)).await.map(Stream::Tcp)
    }
}

/// The first connection to come about. Each address gets a head start before the next one, or until it fails.
pub(super) async fn first_of(mut addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, ConnectError> {
    let mut worst = ConnectError::Name(Error::from(ErrorKind::AddrNotAvailable));
    // Dropped with those still under way.
    let mut attempts: JoinSet<Result<TcpStream, Error>> = JoinSet::new();
    let mut next = addresses.next();
    loop {
        if let Some(address) = next.take() {
            attempts.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            ended = attempts.join_next() => {
                match ended {
                    Some(Ok(Ok(stream))) => return Ok(stream),
                    Some(Ok(Err(error))) => {
                        let error = ConnectError::of(error);
                        if error.weight() >= worst.weight() {
                            worst = error;
                        }
                    }
                    Some(Err(_)) => {}
                    None => return Err(worst),
                }
                next = addresses.next();
            }
            () = tokio::time::sleep(HEAD_START) => next = addresses.next(),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
