//! The socket under a connection, which knows whether anything was heard.

use super::{Host, Place};
use socket2::{SockRef, TcpKeepalive};
use std::{
    io,
    mem::MaybeUninit,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

/// A socket that counts how often something came.
pub(super) struct Socket {
    inner: Inner,
    heard: Arc<AtomicU64>,
    /// What came and was not asked for yet, from `at` to `end`.
    room: Box<[u8]>,
    at: usize,
    end: usize,
}

/// Bytes that are taken from the system at once. The client library asks for 8 KiB, which costs a call for each.
const ROOM: usize = 128 << 10;

enum Inner {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// How long a connection may be silent before the other end's machine is asked whether it is still there, how often, and how many times.
const IDLE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(10);
const RETRIES: u32 = 3;

/// How often it is looked whether something was heard, until a connection is given up.
const LOOKS: u32 = 8;

impl Socket {
    /// Opens the way to a server.
    pub(super) async fn open(place: &Place, number: Option<IpAddr>) -> io::Result<Socket> {
        let inner = match (&place.host, number) {
            (Host::Socket(folder), _) => {
                Inner::Unix(UnixStream::connect(folder.join(format!(".s.PGSQL.{}", place.port))).await?)
            }
            (Host::Name(_), Some(number)) => Inner::Tcp(tcp(TcpStream::connect((number, place.port)).await?)?),
            (Host::Name(name), None) => Inner::Tcp(tcp(TcpStream::connect((name.as_str(), place.port)).await?)?),
        };
        Ok(Socket { inner, heard: Arc::default(), room: vec![0; ROOM].into(), at: 0, end: 0 })
    }

    /// How often something was heard on it.
    pub(super) fn heard(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.heard)
    }
}

fn tcp(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL).with_retries(RETRIES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// Ends a connection on which nothing was heard for so long. It runs only while somebody waits for an answer, and time in which nobody did
/// counts once at most.
pub(super) async fn watch(heard: Arc<AtomicU64>, silence: Duration, connection: AbortHandle) {
    let mut looks = interval(silence / LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut before, mut silent) = (0, 0);
    // The first look is at once.
    looks.tick().await;
    while silent < LOOKS {
        looks.tick().await;
        let now = heard.load(Ordering::Relaxed);
        silent = if now == before { silent + 1 } else { 0 };
        before = now;
    }
    connection.abort();
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.end {
            let mut room = ReadBuf::new(&mut this.room);
            ready!(match &mut this.inner {
                Inner::Tcp(it) => Pin::new(it).poll_read(context, &mut room),
                Inner::Unix(it) => Pin::new(it).poll_read(context, &mut room),
            })?;
            (this.at, this.end) = (0, room.filled().len());
            if this.end > 0 {
                this.heard.fetch_add(1, Ordering::Relaxed);
            }
        }
        let length = buffer.remaining().min(this.end - this.at);
        buffer.put_slice(this.room.get(this.at..this.at + length).unwrap_or_default());
        this.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Tcp(it) => Pin::new(it).poll_write(context, bytes),
            Inner::Unix(it) => Pin::new(it).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Tcp(it) => Pin::new(it).poll_flush(context),
            Inner::Unix(it) => Pin::new(it).poll_flush(context),
        }
    }

    /// Also waits until the other end has closed. A server closes a connection that carried a request to cancel once it has
    /// passed the request on, so what is asked afterwards is not hit by it.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = match &mut self.inner {
            Inner::Tcp(it) => Pin::new(it).poll_shutdown(context),
            Inner::Unix(it) => Pin::new(it).poll_shutdown(context),
        };
        ready!(done)?;
        let mut room = [MaybeUninit::uninit(); 512];
        loop {
            let mut rest = ReadBuf::uninit(&mut room);
            ready!(self.as_mut().poll_read(context, &mut rest))?;
            if rest.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
