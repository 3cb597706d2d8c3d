//! The client of all services where TLS is spoken: who is trusted, and what is not given up.

use cutover::{
    plan::Setting,
    store::{
        Options,
        settings::Settings,
        web::{Advice, Request, Web},
    },
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Answers every request with the same bytes, over TLS.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(certificate: &Path, key: &Path, answer: String) -> Server {
        let chain = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).expect("a pair"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&connections), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let tls = ServerConnection::new(Arc::clone(&config)).expect("a session");
                drop(serve(StreamOwned::new(tls, connection), &answer));
            }
        });
        Server { address, connections, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn serve(stream: StreamOwned<ServerConnection, TcpStream>, answer: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::from("x");
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let stream = reader.get_mut();
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// A certificate that vouches for itself, for these names.
fn certificate(folder: &Path, name: &str, names: &str) {
    fs::write(folder.join("config"), "[req]\ndistinguished_name = name\n[name]\n").expect("a file");
    let mut openssl = Command::new("openssl");
    openssl
        .current_dir(folder)
        .args("req -x509 -config config -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(' '));
    openssl.args(["-subj", "/CN=test", "-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", &format!("subjectAltName={names}")]);
    let output = openssl.output().unwrap_or_else(|it| panic!("openssl: {it}: run scripts/test once"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn only_who_is_trusted_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |it: &str| folder.path().join(it);
    certificate(folder.path(), "good", "IP:127.0.0.1");
    certificate(folder.path(), "other", "DNS:other.test");
    let check = |server: &str, trusted: Option<&str>, answer: &str, expect: &str| {
        let server = Server::new(&path(&format!("{server}.pem")), &path(&format!("{server}.key")), answer.to_owned());
        let ca = trusted.map(|it| path(&format!("{it}.pem")).display().to_string());
        let given: BTreeMap<_, _> = ca.map(|it| ("ca".to_owned(), Setting::Text(it))).into_iter().collect();
        let options = Options { settings: Settings::new(given, Arc::new(|_| None)), ..Options::default() };
        let web = Web::new(&format!("https://{}", server.address), None, &options).expect("a client");
        let answer = web.send(&Request::get("/x"), &Advice::usual).map_err(|it| it.to_string());
        match answer {
            Ok(answer) => assert_eq!(String::from_utf8_lossy(&answer.body), expect),
            Err(error) => assert!(error.contains(expect), "{error}"),
        }
        // A certificate is no better at a second look.
        assert_eq!(server.connections.load(Ordering::Relaxed), 1, "{expect}");
    };
    let data = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndata";
    check("good", Some("good"), data, "data");
    check("good", None, data, "certificate");
    check("good", Some("other"), data, "certificate");
    check("other", Some("other"), data, "not valid for");
    let away = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/y?z\r\ncontent-length: 0\r\n\r\n";
    check("good", Some("good"), away, "redirected to 127.0.0.1:1/y, where nothing is protected");
}
