//! A line on loopback that leads to one place and breaks all the time.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// When a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// When so many bytes have gone through it to the place, whatever they were.
    After(u64),
    /// When so many bytes have gone through it and something has come back for all of them: between requests.
    Answered(u64),
}

/// The line. It takes no more connections when it is dropped.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    cut: Cut,
    /// Bytes that went to the place, over all connections.
    sent: AtomicU64,
    cuts: AtomicU64,
    stop: AtomicBool,
}

impl Line {
    /// Leads to a port of loopback.
    pub fn to(target: u16, cut: Cut) -> Line {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it was bound");
        let (sent, cuts, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { target, cut, sent, cuts, stop });
        let all = shared.clone();
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if all.stop.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let all = all.clone();
                // What becomes of a connection is the client's to notice.
                thread::spawn(move || all.serve(&stream));
            }
        });
        Line { address, shared, accepting: Some(accepting) }
    }

    /// An image's name over the line, in full.
    pub fn name(&self, repository: &str) -> String {
        format!("localhost:{}/{repository}", self.address.port())
    }

    /// Bytes that went to the place so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// How often it broke.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // It waits for a connection: here is one.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        let place = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target))?;
        let there = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = self.back(client, &place, &there);
                end(client, &place);
            });
            let gone = self.forth(client, &place, &there);
            end(client, &place);
            gone
        })
    }

    fn forth(&self, mut client: &TcpStream, mut place: &TcpStream, there: &AtomicU64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let gone = there.load(Ordering::Relaxed);
            let room = match self.cut {
                Cut::After(bytes) => bytes.saturating_sub(gone).min(buffer.len() as u64) as usize,
                Cut::Answered(_) => buffer.len(),
            };
            if room == 0 {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            let count = client.read(&mut buffer[..room])?;
            if count == 0 {
                return Ok(());
            }
            there.fetch_add(count as u64, Ordering::Relaxed);
            self.sent.fetch_add(count as u64, Ordering::Relaxed);
            place.write_all(&buffer[..count])?;
        }
    }

    fn back(&self, mut client: &TcpStream, mut place: &TcpStream, there: &AtomicU64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = place.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            client.write_all(&buffer[..count])?;
            // Answers to uploads are short: this one was whole.
            if let Cut::Answered(bytes) = self.cut
                && there.load(Ordering::Relaxed) >= bytes
            {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
    }
}

fn end(client: &TcpStream, place: &TcpStream) {
    // Either may have ended it already.
    let _ = client.shutdown(Shutdown::Both);
    let _ = place.shutdown(Shutdown::Both);
}
