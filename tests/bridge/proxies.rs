//! Two small proxies: one of HTTP, one of SOCKS5 with or without a password.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

type Count = Arc<AtomicUsize>;

/// A proxy on the runtime of the test.
pub(crate) struct Proxy {
    pub(crate) address: String,
    connections: Count,
}

impl Proxy {
    /// One of HTTP.
    pub(crate) async fn http() -> Proxy {
        Proxy::serve(http).await
    }

    /// One of SOCKS5, for who has no password, or this one.
    pub(crate) async fn socks(password: Option<&'static str>) -> Proxy {
        Proxy::serve(move |stream, count| socks(stream, password, count)).await
    }

    async fn serve<F, Fut>(handle: F) -> Proxy
    where
        F: Fn(TcpStream, Count) -> Fut + Send + 'static,
        Fut: Future<Output = Option<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let connections = Count::default();
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(handle(stream, counted.clone()));
            }
        });
        Proxy { address, connections }
    }

    /// How many connections were brought to where they were to go.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn http(mut client: TcpStream, count: Count) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head.clone()).ok()?;
    let mut words = text.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let mut server = if method == "CONNECT" {
        let server = TcpStream::connect(target).await.ok()?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
        server
    } else {
        let authority = target.strip_prefix("http://")?.split('/').next()?;
        let mut server = TcpStream::connect(authority).await.ok()?;
        server.write_all(&head).await.ok()?;
        server
    };
    count.fetch_add(1, Ordering::SeqCst);
    let _ = copy_bidirectional(&mut client, &mut server).await;
    Some(())
}

async fn socks(mut client: TcpStream, password: Option<&str>, count: Count) -> Option<()> {
    (client.read_u8().await.ok()? == 5).then_some(())?;
    let mut methods = vec![0; usize::from(client.read_u8().await.ok()?)];
    client.read_exact(&mut methods).await.ok()?;
    let wanted = if password.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        client.write_all(&[5, 0xff]).await.ok()?;
        return None;
    }
    client.write_all(&[5, wanted]).await.ok()?;
    if let Some(password) = password {
        client.read_u8().await.ok()?;
        let mut name = vec![0; usize::from(client.read_u8().await.ok()?)];
        client.read_exact(&mut name).await.ok()?;
        let mut given = vec![0; usize::from(client.read_u8().await.ok()?)];
        client.read_exact(&mut given).await.ok()?;
        let is_right = given == password.as_bytes();
        client.write_all(&[1, u8::from(!is_right)]).await.ok()?;
        is_right.then_some(())?;
    }
    let mut request = [0; 4];
    client.read_exact(&mut request).await.ok()?;
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(client.read_u32().await.ok()?).to_string(),
        3 => {
            let mut name = vec![0; usize::from(client.read_u8().await.ok()?)];
            client.read_exact(&mut name).await.ok()?;
            String::from_utf8(name).ok()?
        }
        _ => return None,
    };
    let port = client.read_u16().await.ok()?;
    let mut server = TcpStream::connect((host.as_str(), port)).await.ok()?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.ok()?;
    count.fetch_add(1, Ordering::SeqCst);
    let _ = copy_bidirectional(&mut client, &mut server).await;
    Some(())
}
