//! Sockets and threads: one thread for each connection, until the registry stops.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Exchange, Request, Response, State, lock};

/// How often a thread that waits looks whether it is still needed.
const TICK: Duration = Duration::from_millis(20);

/// Key and certificate.
pub(crate) struct Identity {
    pub(crate) root: Vec<u8>,
    pub(crate) config: Arc<ServerConfig>,
}

impl Identity {
    /// A certificate for this machine, and for `registry.test` behind a proxy, that signs itself.
    pub(crate) fn new() -> Identity {
        let names = ["localhost", "127.0.0.1", "registry.test"].map(String::from);
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate needs no more than names");
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
            .expect("key and certificate belong together");
        Identity { root: made.cert.pem().into_bytes(), config: Arc::new(config) }
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(state: Arc<State>, identity: Option<Identity>) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it was bound");
        let stop = Arc::new(AtomicBool::new(false));
        let config = identity.map(|identity| identity.config);
        let accepting = thread::spawn({
            let stop = stop.clone();
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let Ok(stream) = stream else { continue };
                    let (state, stop, config) = (state.clone(), stop.clone(), config.clone());
                    // What becomes of a connection is the client's to notice.
                    thread::spawn(move || connection(stream, config, &state, &stop));
                }
            }
        });
        Server { address, stop, accepting: Some(accepting) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It waits for a connection: here is one.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// A socket whose reads end when the registry stops.
struct Socket<'a> {
    stream: TcpStream,
    stop: &'a AtomicBool,
}

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.stop.load(Ordering::Relaxed) {
                        return Ok(0);
                    }
                }
                result => return result,
            }
        }
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn connection(
    stream: TcpStream,
    config: Option<Arc<ServerConfig>>,
    state: &State,
    stop: &AtomicBool,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if stream.peek(&mut first)? == 0 {
        return Ok(());
    }
    stream.set_read_timeout(Some(TICK))?;
    // The first byte of TLS is the type of a handshake record.
    let speaks_tls = first == [22];
    let control = stream.try_clone()?;
    let mut socket = Socket { stream, stop };
    match config {
        Some(config) if speaks_tls => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            talk(BufReader::new(StreamOwned::new(connection, socket)), &control, state, stop)
        }
        // As registries in Go say it.
        Some(_) => socket
            .write_all(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"),
        None if speaks_tls => Ok(()),
        None => talk(BufReader::new(socket), &control, state, stop),
    }
}

fn talk<S: Read + Write>(
    mut stream: BufReader<S>,
    control: &TcpStream,
    state: &State,
    stop: &AtomicBool,
) -> io::Result<()> {
    while let Some(request) = Request::read(&mut stream, |request| state.cut(request))? {
        if request.cut {
            // What arrived is dealt with, but the client does not learn what came of it.
            let response = state.answer(&request);
            lock(&state.exchanges).push(Exchange { request, status: response.status, sent: 0 });
            sockopt::set_socket_linger(control, Some(Duration::ZERO))?;
            return Ok(());
        }
        let response = state.answer(&request);
        let number = {
            let mut exchanges = lock(&state.exchanges);
            exchanges.push(Exchange { request, status: response.status, sent: 0 });
            exchanges.len() - 1
        };
        // Counted before they leave, so that no test can have bytes that are not counted.
        let count = |bytes: usize| {
            // There are fewer exchanges when a test began anew.
            if let Some(exchange) = lock(&state.exchanges).get_mut(number) {
                exchange.sent += bytes as u64;
            }
        };
        let ending = send(stream.get_mut(), &response, stop, count)?;
        if ending == Ending::Close {
            if response.delivery.reset {
                sockopt::set_socket_linger(control, Some(Duration::ZERO))?;
                return Ok(());
            }
            return control.shutdown(std::net::Shutdown::Both);
        }
    }
    Ok(())
}

/// What becomes of the connection after a response.
#[derive(PartialEq)]
enum Ending {
    Keep,
    Close,
}

fn send(
    out: &mut impl Write,
    response: &Response,
    stop: &AtomicBool,
    count: impl Fn(usize),
) -> io::Result<Ending> {
    let delivery = &response.delivery;
    wait(delivery.delay, stop);
    let head = response.head();
    let piece = if delivery.drip.is_some() { delivery.piece.max(1) } else { 64 << 10 };
    for piece in head.chunks(if delivery.drip_head { 1 } else { head.len() }) {
        out.write_all(piece)?;
        out.flush()?;
        if delivery.drip_head {
            wait(delivery.drip.unwrap_or_default(), stop);
        }
    }
    if delivery.head_only {
        return Ok(Ending::Keep);
    }
    let end = [delivery.cut, delivery.hang].into_iter().flatten().min();
    let body = &response.body[..end.unwrap_or(response.body.len()).min(response.body.len())];
    for piece in body.chunks(piece) {
        wait(delivery.drip.unwrap_or_default(), stop);
        count(piece.len());
        response.write_piece(out, piece)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(Ending::Close);
        }
    }
    if delivery.hang.is_some() {
        wait(Duration::MAX, stop);
    }
    if end.is_some() || delivery.stated_length.is_some_and(|stated| stated != response.body.len() as u64) {
        return Ok(Ending::Close);
    }
    if delivery.chunked {
        response.write_piece(out, b"")?;
    }
    Ok(Ending::Keep)
}

fn wait(duration: Duration, stop: &AtomicBool) {
    let start = Instant::now();
    while start.elapsed() < duration && !stop.load(Ordering::Relaxed) {
        thread::sleep(TICK.min(duration - start.elapsed().min(duration)));
    }
}
