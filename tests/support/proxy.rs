//! A proxy that stands before a service and lets things go wrong, as a script says.

use super::server::{Fault, Request, Response, Server};
use flate2::{Compression, write::GzEncoder};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The service answers.
    Pass,
    /// The service answers, and its answer goes wrong on the way.
    Break(Fault),
    /// The service answers, and its answer is packed.
    Gzip,
    /// The same, and that many bytes are missing at the end of what is packed.
    GzipWithout(usize),
    /// The service does what it is asked for, and this is what comes back.
    Lose(Response),
    /// The service is not asked.
    Instead(Response),
}

/// Stands before the service at `upstream`, which is `http://HOST:PORT`. `script` says what happens to a request, by its number
/// and by what it asks for.
pub(crate) fn before(upstream: String, script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Server {
    Server::new(move |request| match script(request) {
        Act::Pass => forward(&upstream, request),
        Act::Break(fault) => forward(&upstream, request).fault(fault),
        Act::Gzip => packed(forward(&upstream, request), 0),
        Act::GzipWithout(count) => packed(forward(&upstream, request), count),
        Act::Lose(response) => {
            forward(&upstream, request);
            response
        }
        Act::Instead(response) => response,
    })
}

/// A packed answer that is small on the wire and has that many MiB of blanks once unpacked.
pub(crate) fn bomb(mebibytes: usize) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let blanks = vec![b' '; 1 << 20];
    (0..mebibytes).for_each(|_| encoder.write_all(&blanks).expect("memory takes it"));
    let body = encoder.finish().expect("memory takes it");
    Response::new("application/json", body).header("content-encoding", "gzip")
}

fn packed(mut response: Response, without: usize) -> Response {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&response.body).expect("memory takes it");
    response.body = encoder.finish().expect("memory takes it");
    response.body.truncate(response.body.len().saturating_sub(without));
    response.header("content-encoding", "gzip")
}

/// Asks the service the same, and gives its answer. Nothing is packed on that way.
fn forward(upstream: &str, request: &Request) -> Response {
    let host = upstream.strip_prefix("http://").expect("an address without TLS");
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let mut head =
        format!("{} {}{query} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n", request.method, request.path);
    for (name, value) in &request.headers {
        if !["host", "connection", "accept-encoding", "content-length"].iter().any(|it| name.eq_ignore_ascii_case(it)) {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head += &format!("content-length: {}\r\n\r\n", request.body.len());
    let mut connection = TcpStream::connect(host).expect("the service is there");
    connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&request.body)).expect("it is sent");
    let (mut bytes, mut some) = (Vec::new(), [0; 1 << 16]);
    // Not every service closes the connection at once when it is asked to.
    while !is_whole(&bytes) {
        match connection.read(&mut some).expect("the service answers") {
            0 => break,
            count => bytes.extend_from_slice(&some[..count]),
        }
    }
    parsed(&bytes).expect("the service answers in HTTP")
}

/// Whether an answer that says where it ends is there.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|it| it.strip_prefix(name)).map(str::trim);
    match (header("content-length:").and_then(|it| it.parse().ok()), header("transfer-encoding:")) {
        (Some(length), _) => bytes.len() - end - 4 >= length,
        (None, Some(_)) => bytes.ends_with(b"\r\n0\r\n\r\n"),
        (None, None) => false,
    }
}

/// A whole answer, as it came over the wire.
fn parsed(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut response = Response::new("", &bytes[end + 4..]).status(status);
    response.headers.clear();
    let mut chunked = false;
    for (name, value) in lines.filter_map(|it| it.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => chunked = true,
            "content-length" | "connection" | "keep-alive" => {}
            _ => response = response.header(name, value.trim()),
        }
    }
    if chunked {
        response.body = joined(&response.body)?;
    }
    Some(response)
}

/// A body that came in chunks.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|it| it == b"\r\n")?;
        let size = std::str::from_utf8(&chunks[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(end + 2..end + 2 + size)?);
        chunks = chunks.get(end + 2 + size + 2..)?;
    }
}
