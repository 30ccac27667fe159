//! The socket of a manager itself, for where there is no bus.
//!
//! systemd speaks D-Bus there with one peer at a time, whom it lets in when it is the manager's own user or root. It
//! puts its well-known name where the sender's unique name belongs, which zbus refuses; so that field is rewritten on
//! its way in, to one of the same length.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

/// The sender's field of a header: its number, the signature of a string, the length, and the name.
const WELL_KNOWN_SENDER: &[u8; 33] = b"\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1\0";
const UNIQUE_SENDER: &[u8; 33] = b"\x07\x01s\0\x18\0\0\0:1.000000000000000000000\0";

/// The longest line of the handshake.
const LONGEST_LINE: usize = 256;

/// Says who one is, as `user`; answers with the id of the server.
pub(super) async fn authenticate(stream: &mut UnixStream, user: u32) -> Result<String, zbus::Error> {
    let refused = |answer: &str| zbus::Error::Handshake(format!("the manager answered {answer:?}"));
    let digits: String = user.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
    // All at once, as systemd's own programs do it: a message that arrives together with `BEGIN` is not looked at before
    // the next one comes.
    stream.write_all(format!("\0AUTH EXTERNAL {digits}\r\nBEGIN\r\n").as_bytes()).await?;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let byte = stream.read_u8().await?;
        line.push(byte);
        if line.len() > LONGEST_LINE {
            return Err(refused("with a line without end"));
        }
    }
    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
    Ok(line.strip_prefix("OK ").ok_or_else(|| refused(&line))?.to_owned())
}

/// A connection to a manager, past the handshake.
#[derive(Debug)]
pub(super) struct PrivateSocket(pub(super) UnixStream);

impl Socket for PrivateSocket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        Split::new(Reader { socket: read, tail: Tail::default() }, Writer(write))
    }
}

/// The half that messages come in through.
#[derive(Debug)]
pub(super) struct Reader {
    socket: OwnedReadHalf,
    tail: Tail,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let count = self.socket.read(buffer).await?;
        if let Some(received) = buffer.get_mut(..count) {
            self.tail.rewrite(received);
        }
        Ok((count, Vec::new()))
    }
}

/// How much of the field the bytes that came last are the beginning of.
#[derive(Debug, Default)]
struct Tail {
    matched: usize,
}

impl Tail {
    /// Rewrites the name byte by byte as it comes, because what has gone by is out of reach. Up to the name the two
    /// fields are the same; and no other string in front of it is 24 long and called a sender.
    fn rewrite(&mut self, received: &mut [u8]) {
        for byte in received {
            let is_expected = |matched: usize| WELL_KNOWN_SENDER.get(matched) == Some(byte);
            if !is_expected(self.matched) {
                // The first byte of the field does not occur in the rest of it.
                self.matched = usize::from(is_expected(0));
                continue;
            }
            if let Some(unique) = UNIQUE_SENDER.get(self.matched) {
                *byte = *unique;
            }
            self.matched = (self.matched + 1) % WELL_KNOWN_SENDER.len();
        }
    }
}

/// The half that messages go out through.
#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.0.write(buffer).await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_rewritten_however_the_bytes_are_cut() {
        let message =
            [b"l\x04\x07\x07\x01s\0\x05".as_slice(), WELL_KNOWN_SENDER, b"\x07body", WELL_KNOWN_SENDER].concat();
        let expected = [b"l\x04\x07\x07\x01s\0\x05".as_slice(), UNIQUE_SENDER, b"\x07body", UNIQUE_SENDER].concat();
        for size in 1..=message.len() {
            let mut tail = Tail::default();
            let mut bytes = message.clone();
            bytes.chunks_mut(size).for_each(|chunk| tail.rewrite(chunk));
            assert_eq!(bytes, expected, "in pieces of {size}");
        }
    }
}
