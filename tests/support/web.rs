//! A small HTTP/1.1 server for tests: a function answers, every request is remembered, and an answer can go wrong on the wire.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

/// A server on a free port of this machine. It ends, with all its connections, when it is dropped.
///
/// ```text
/// let server = Server::new(|request| match (request.method.as_str(), request.path.as_str()) {
///     ("GET", "/items") => Response::json(r#"{"a":1}"#),
///     _ => Response::text("no such thing").status(404),
/// });
/// let address = format!("{}/items", server.url());
/// ```
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path as it was sent, without the query.
    pub(crate) path: String,
    /// The query as it was sent, without `?`; empty if there is none.
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// How many requests came before it.
    pub(crate) number: usize,
}

/// What is answered.
#[derive(Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    fault: Option<Fault>,
}

/// What goes wrong on the way back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The connection closes after that many bytes, the head of the answer among them.
    CloseAfter(usize),
    /// After that many bytes nothing more comes, and the connection stays open.
    SilentAfter(usize),
    /// Each byte comes that long after the one before.
    Drip(Duration),
    /// The head says another length than the body has. The connection closes behind the body.
    Length(u64),
}

/// What the threads of a server share.
struct Shared {
    answer: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    count: usize,
    connections: Vec<TcpStream>,
    stopped: bool,
}

impl Server {
    /// Begins to answer. `answer` is called by one thread for each connection.
    pub(crate) fn new(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { answer: Box::new(answer), state, stopping: Condvar::new() });
        let seen = Arc::clone(&shared);
        let listener = thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if !seen.admit(&connection) {
                    return;
                }
                let shared = Arc::clone(&seen);
                thread::spawn(move || shared.serve(&connection));
            }
        });
        Server { address, shared, listener: Some(listener) }
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Forgets the requests that came so far, and gives them away. Numbers of requests go on.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.state().requests)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.stopped = true;
            state.connections.iter().for_each(|it| drop(it.shutdown(Shutdown::Both)));
        }
        self.shared.stopping.notify_all();
        // The listener waits for a connection, so it gets one.
        drop(TcpStream::connect(self.address));
        drop(self.listener.take().map(JoinHandle::join));
    }
}

impl Shared {
    /// A test that failed inside of `answer` has nothing broken in here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a connection, to end it with the server. False: the server has ended.
    fn admit(&self, connection: &TcpStream) -> bool {
        let mut state = self.state();
        state.connections.extend(connection.try_clone());
        !state.stopped
    }

    fn serve(&self, connection: &TcpStream) {
        drop(connection.set_nodelay(true));
        let mut reader = BufReader::new(connection);
        while let Some(mut request) = Request::read(&mut reader) {
            {
                let mut state = self.state();
                request.number = state.count;
                state.count += 1;
                state.requests.push(request.clone());
            }
            let response = (self.answer)(&request);
            let goes_on = self.write(connection, &response, request.method == "HEAD");
            if !goes_on || request.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")) {
                break;
            }
        }
        drop(connection.shutdown(Shutdown::Both));
    }

    /// False: the connection has to close.
    fn write(&self, mut connection: &TcpStream, response: &Response, head: bool) -> bool {
        let bytes = response.render(head);
        match response.fault {
            None => connection.write_all(&bytes).is_ok(),
            Some(Fault::Length(_)) => connection.write_all(&bytes).is_err(),
            Some(Fault::CloseAfter(count)) => connection.write_all(&bytes[..count.min(bytes.len())]).is_err(),
            Some(Fault::SilentAfter(count)) => {
                drop(connection.write_all(&bytes[..count.min(bytes.len())]));
                // The other side gives up first, or the server is dropped, which ends the connection.
                drop(connection.read(&mut [0]));
                false
            }
            Some(Fault::Drip(pause)) => {
                bytes.iter().all(|byte| connection.write_all(&[*byte]).is_ok() && self.goes_on_after(pause))
            }
        }
    }

    /// Waits that long for the server to stop. True: it did not.
    fn goes_on_after(&self, pause: Duration) -> bool {
        let (state, _) = self
            .stopping
            .wait_timeout_while(self.state(), pause, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        !state.stopped
    }
}

impl Request {
    /// The next request of a connection. Nothing: there is none, or it is not HTTP.
    fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
        let first = line(reader)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        // A proxy is asked for whole addresses.
        let target = target.strip_prefix("http://").map_or(target, |it| it.find('/').map_or("/", |at| &it[at..]));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (path, query) = (path.to_owned(), query.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = line(reader)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut request = Request { method, path, query, headers, body: Vec::new(), number: 0 };
        request.body = request.read_body(reader)?;
        Some(request)
    }

    fn read_body(&self, reader: &mut BufReader<&TcpStream>) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("expect").is_some() {
            let mut connection = *reader.get_ref();
            connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        if self.header("transfer-encoding").is_none() {
            let length = self.header("content-length").map_or(Some(0), |it| it.parse().ok())?;
            body.resize(length, 0);
            reader.read_exact(&mut body).ok()?;
            return Some(body);
        }
        loop {
            let size = line(reader)?;
            let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..]).ok()?;
            // Behind each chunk the line ends. There are no trailers.
            line(reader)?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// The first header of that name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1.as_str())
    }

    /// The values of a parameter of the query, decoded, in their order.
    pub(crate) fn parameters(&self, name: &str) -> Vec<String> {
        let pairs = self.query.split('&').filter(|it| !it.is_empty()).map(|it| it.split_once('=').unwrap_or((it, "")));
        pairs.filter(|it| decoded(it.0) == name).map(|it| decoded(it.1)).collect()
    }

    /// The first value of a parameter of the query, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).into_iter().next()
    }

    /// The body as a JSON document.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body of the request is JSON")
    }
}

impl Response {
    /// 200, with a body of that media type.
    pub(crate) fn new(media_type: &str, body: impl Into<Vec<u8>>) -> Response {
        let headers = vec![("content-type".to_owned(), media_type.to_owned())];
        Response { status: 200, headers, body: body.into(), fault: None }
    }

    /// 200, with a JSON document as it is to be sent.
    pub(crate) fn json(body: impl ToString) -> Response {
        Response::new("application/json", body.to_string())
    }

    /// 200, with a text.
    pub(crate) fn text(body: &str) -> Response {
        Response::new("text/plain; charset=utf-8", body)
    }

    /// The same with another status.
    pub(crate) fn status(mut self, status: u16) -> Response {
        self.status = status;
        self
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Response {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The same, going wrong on the way.
    pub(crate) fn fault(mut self, fault: Fault) -> Response {
        self.fault = Some(fault);
        self
    }

    /// As it goes over the wire.
    fn render(&self, head: bool) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} .\r\n", self.status);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let length = match self.fault {
            Some(Fault::Length(length)) => length,
            _ => self.body.len() as u64,
        };
        if !matches!(self.status, 204 | 304) {
            text += &format!("content-length: {length}\r\n");
        }
        let mut bytes = (text + "\r\n").into_bytes();
        if !head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// Without a body that is too long to be read.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(100)]);
        write!(f, "{} {:?} {body:?} {:?}", self.status, self.headers, self.fault)
    }
}

/// The next line, without its end.
fn line(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    Some(line.strip_suffix('\n')?.trim_end_matches('\r').to_owned())
}

/// A part of a query without its percent signs.
fn decoded(text: &str) -> String {
    let (mut bytes, mut out) = (text.bytes(), Vec::new());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit(), digit());
                high.zip(low).map_or(b'?', |(high, low)| (high * 16 + low) as u8)
            }
            it => it,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn requests_are_understood_and_remembered() {
    let server = Server::new(|request| match request.path.as_str() {
        "/broken" => Response::text("0123456789").fault(Fault::CloseAfter(20)),
        _ => Response::text(&format!("{} {}", request.number, request.parameters("a b").join("|"))),
    });
    let ask = |text: &str| {
        let mut connection = TcpStream::connect(server.address).expect("a connection");
        connection.write_all(text.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let two = ask("GET /x?a+b=%C3%A4&a%20b=2&c HTTP/1.1\r\nHost: h\r\n\r\n\
                   POST /y HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n{\"a\r\n5;x\r\n\":1 }\r\n0\r\n\r\n");
    assert!(two.contains("\r\n\r\n0 ä|2HTTP/1.1 200 .\r\n"), "{two}");
    assert_eq!(ask("GET /broken HTTP/1.1\r\n\r\n").len(), 20);
    let requests = server.take();
    assert_eq!(requests.iter().map(|it| it.number).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((requests[1].method.as_str(), requests[1].json()), ("POST", serde_json::json!({"a": 1})));
    assert_eq!((requests[0].header("HOST"), requests[0].parameter("c")), (Some("h"), Some(String::new())));
    assert!(server.requests().is_empty());
}
