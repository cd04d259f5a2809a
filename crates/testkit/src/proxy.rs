//! A proxy on loopback that speaks CONNECT and SOCKS 5, and leads to one place, whatever host it is asked for.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::registry::serve::Identity;

/// How long it waits for one side before it looks at the other, where one thread does both.
const TICK: Duration = Duration::from_millis(5);

/// The proxy. It takes no more connections when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    settings: Arc<Settings>,
    root: Option<Vec<u8>>,
    accepting: Option<JoinHandle<()>>,
}

struct Settings {
    /// Where everything leads to.
    target: String,
    /// `USER:PASSWORD`, if it wants them.
    login: Option<String>,
    /// The status that it answers to CONNECT instead of connecting.
    refusal: Mutex<Option<u16>>,
    asked: Mutex<Vec<String>>,
    /// With what it speaks TLS, if it does.
    tls: Option<Arc<ServerConfig>>,
    stop: AtomicBool,
}

impl Proxy {
    /// Starts one that leads to `target`, `HOST:PORT`, for whoever says `USER:PASSWORD`, if it is to ask.
    pub fn start(target: &str, login: Option<&str>) -> Proxy {
        Proxy::serve(target, login, None)
    }

    /// Starts one that is spoken to over TLS, as `localhost`, with a certificate that only [`Proxy::root`] vouches for.
    pub fn start_tls(target: &str, login: Option<&str>) -> Proxy {
        Proxy::serve(target, login, Some(Identity::new()))
    }

    fn serve(target: &str, login: Option<&str>, identity: Option<Identity>) -> Proxy {
        let root = identity.as_ref().map(|identity| identity.root.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it was bound");
        let settings = Arc::new(Settings {
            target: target.into(),
            login: login.map(String::from),
            refusal: Mutex::default(),
            asked: Mutex::default(),
            tls: identity.map(|identity| identity.config),
            stop: AtomicBool::new(false),
        });
        let shared = settings.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = shared.clone();
                // What becomes of a connection is the client's to notice.
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Proxy { address, settings, root, accepting: Some(accepting) }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The certificate to trust, as PEM.
    ///
    /// # Panics
    ///
    /// Where there is no TLS.
    pub fn root(&self) -> Vec<u8> {
        self.root.clone().expect("the proxy was started with TLS")
    }

    /// Lets it answer CONNECT with this status from now on.
    pub fn refuse(&self, status: u16) {
        *self.settings.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
    }

    /// What it was asked to connect to so far: `CONNECT HOST:PORT`, `SOCKS HOST:PORT`.
    pub fn asked(&self) -> Vec<String> {
        self.settings.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.settings.stop.store(true, Ordering::Relaxed);
        // It waits for a connection: here is one.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve(stream: TcpStream, settings: &Settings) -> io::Result<()> {
    if let Some(config) = &settings.tls {
        return serve_tls(stream, config.clone(), settings);
    }
    let mut first = [0];
    stream.peek(&mut first)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let connected = if first == [5] {
        socks(&mut reader, &stream, settings)?
    } else {
        let (answer, connected) = connect(&mut reader, settings)?;
        (&stream).write_all(answer.as_bytes())?;
        connected
    };
    if !connected {
        return Ok(());
    }
    let target = TcpStream::connect(&settings.target)?;
    let (mut to, mut from) = (target.try_clone()?, stream.try_clone()?);
    let back = thread::spawn(move || {
        let mut target = target;
        let _ = io::copy(&mut target, &mut from);
        let _ = from.shutdown(Shutdown::Both);
    });
    let _ = io::copy(&mut reader, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = back.join();
    Ok(())
}

/// CONNECT over TLS. One thread goes to and fro, since the two directions share the state of the encryption.
fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>, settings: &Settings) -> io::Result<()> {
    let control = stream.try_clone()?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = BufReader::new(StreamOwned::new(connection, stream));
    let (answer, connected) = connect(&mut client, settings)?;
    client.get_mut().write_all(answer.as_bytes())?;
    if !connected {
        return Ok(());
    }
    let mut target = TcpStream::connect(&settings.target)?;
    control.set_read_timeout(Some(TICK))?;
    target.set_read_timeout(Some(TICK))?;
    let mut buffer = vec![0; 64 << 10];
    let waits =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
    while !settings.stop.load(Ordering::Relaxed) {
        match client.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => target.write_all(&buffer[..count])?,
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
        match target.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => client.get_mut().write_all(&buffer[..count])?,
            Err(error) if waits(&error) => {}
            Err(error) => return Err(error),
        }
    }
    client.get_mut().conn.send_close_notify();
    let _ = client.get_mut().flush();
    control.shutdown(Shutdown::Both)
}

/// Reads a CONNECT: what to answer, and whether to connect.
fn connect(reader: &mut impl io::BufRead, settings: &Settings) -> io::Result<(String, bool)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok((String::new(), false));
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_string()),
        }
    }
    let target = head.first().and_then(|line| line.strip_suffix(" HTTP/1.1")).unwrap_or_default();
    note(settings, target.into());
    let refusal = *settings.refusal.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = settings.login.as_ref().map(|login| format!("Basic {}", STANDARD.encode(login)));
    let sent = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    let status = match refusal {
        Some(status) => status,
        None if !target.starts_with("CONNECT ") => 405,
        None if wanted.as_deref().is_some_and(|wanted| sent != Some(wanted)) => 407,
        None => 200,
    };
    let length = if status == 200 { "" } else { "Content-Length: 0\r\n" };
    Ok((format!("HTTP/1.1 {status} -\r\n{length}\r\n"), status == 200))
}

/// RFC 1928, and RFC 1929 for names and passwords.
fn socks(reader: &mut BufReader<TcpStream>, mut out: &TcpStream, settings: &Settings) -> io::Result<bool> {
    let mut take = |count: usize| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        reader.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let methods = take(2)?[1];
    take(methods.into())?;
    if let Some(login) = &settings.login {
        out.write_all(&[5, 2])?;
        let user = take(2)?[1];
        let user = take(user.into())?;
        let password = take(1)?[0];
        let password = take(password.into())?;
        let said = [&user[..], b":", &password].concat();
        let right = said == login.as_bytes();
        out.write_all(&[1, u8::from(!right)])?;
        if !right {
            return Ok(false);
        }
    } else {
        out.write_all(&[5, 0])?;
    }
    let request = take(4)?;
    let host = match request[3] {
        1 => Ipv4Addr::from(<[u8; 4]>::try_from(take(4)?).unwrap_or_default()).to_string(),
        _ => {
            let length = take(1)?[0];
            String::from_utf8_lossy(&take(length.into())?).into_owned()
        }
    };
    let port = take(2)?;
    note(settings, format!("SOCKS {host}:{}", u16::from_be_bytes([port[0], port[1]])));
    out.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
    Ok(true)
}

fn note(settings: &Settings, line: String) {
    settings.asked.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}
