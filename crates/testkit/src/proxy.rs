//! A proxy on loopback that speaks CONNECT and SOCKS 5, and leads to one place, whatever host it is asked for.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The proxy. It takes no more connections when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    settings: Arc<Settings>,
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
    stop: AtomicBool,
}

impl Proxy {
    /// Starts one that leads to `target`, `HOST:PORT`, for whoever says `USER:PASSWORD`, if it is to ask.
    pub fn start(target: &str, login: Option<&str>) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it was bound");
        let settings = Arc::new(Settings {
            target: target.into(),
            login: login.map(String::from),
            refusal: Mutex::default(),
            asked: Mutex::default(),
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
        Proxy { address, settings, accepting: Some(accepting) }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
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
    let mut first = [0];
    stream.peek(&mut first)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let connected = if first == [5] {
        socks(&mut reader, &stream, settings)?
    } else {
        connect(&mut reader, &stream, settings)?
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

fn connect(reader: &mut BufReader<TcpStream>, mut out: &TcpStream, settings: &Settings) -> io::Result<bool> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
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
    write!(out, "HTTP/1.1 {status} -\r\n{}\r\n", if status == 200 { "" } else { "Content-Length: 0\r\n" })?;
    Ok(status == 200)
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
