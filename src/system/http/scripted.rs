//! Servers for tests, that answer with bytes of the test's choice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio_rustls::TlsAcceptor;

/// What a server does once it has read a request.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    /// Answers, and closes.
    Answer(Vec<u8>),
    /// Answers so, and then with more and more of this.
    Endless(Vec<u8>, Vec<u8>),
    /// Answers so, and then says nothing.
    Hang(Vec<u8>),
    /// Closes before it has read anything.
    Close,
    /// Answers as the last of these whose request begins with the first part, else with 403.
    Routes(Vec<(String, Vec<u8>)>),
}

/// An answer as it goes over the wire.
pub(crate) fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An address where nobody listens, for as long as the socket lives.
pub(crate) fn refusing() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// A running server. It goes on until the runtime of the test ends.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections that were accepted, and those that have ended.
    pub(crate) accepted: Arc<AtomicUsize>,
    pub(crate) ended: Arc<AtomicUsize>,
    requests: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Server {
    fn at(address: SocketAddr) -> Server {
        Server { address, accepted: Arc::default(), ended: Arc::default(), requests: Arc::default() }
    }

    /// A server in the clear.
    pub(crate) async fn plain(script: Script) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::at(listener.local_addr().unwrap());
        let this = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                this.serve(stream, &script);
            }
        });
        server
    }

    /// A server that speaks TLS.
    pub(crate) async fn tls(script: Script, acceptor: TlsAcceptor) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::at(listener.local_addr().unwrap());
        let this = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    this.serve(stream, &script);
                }
            }
        });
        server
    }

    /// A server at a socket in the filesystem.
    pub(crate) fn unix(path: &std::path::Path, script: Script) -> Server {
        let listener = UnixListener::bind(path).unwrap();
        let server = Server::at(SocketAddr::from(([0, 0, 0, 0], 0)));
        let this = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                this.serve(stream, &script);
            }
        });
        server
    }

    /// The requests that came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, script: &Script) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let (ended, requests, script) = (Arc::clone(&self.ended), Arc::clone(&self.requests), script.clone());
        tokio::spawn(async move {
            let _ = play(&mut stream, &requests, &script).await;
            ended.fetch_add(1, Ordering::SeqCst);
        });
    }
}

async fn play(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    requests: &std::sync::Mutex<Vec<String>>,
    script: &Script,
) -> std::io::Result<()> {
    if matches!(script, Script::Close) {
        return Ok(());
    }
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8(request).unwrap();
    requests.lock().unwrap().push(request.clone());
    match script {
        Script::Answer(bytes) => stream.write_all(bytes).await?,
        Script::Hang(bytes) => {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            // Until the other side closes.
            while stream.read(&mut [0; 64]).await? > 0 {}
        }
        Script::Endless(head, more) => {
            stream.write_all(head).await?;
            loop {
                stream.write_all(more).await?;
            }
        }
        Script::Routes(routes) => {
            let route = routes.iter().rev().find(|(begin, _)| request.starts_with(begin));
            let refusal = answer("403 Forbidden", "invalid localapi request");
            stream.write_all(route.map_or(&refusal, |(_, bytes)| bytes)).await?;
        }
        Script::Close => {}
    }
    stream.shutdown().await
}
