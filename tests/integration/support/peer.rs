//! Scripted peers: what a server does to each connection is a closure.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A scripted server on a port of its own.
pub struct Peer {
    /// Where it listens.
    pub port: u16,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl Peer {
    /// Does `script` to every connection, each on a thread; the number of the connection is passed.
    pub fn start(script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        // Another test run on this machine may take the port first.
        let listener = std::iter::repeat_with(|| TcpListener::bind(("127.0.0.1", super::free_port())).ok());
        Self::serve(listener.take(50).flatten().next().expect("a port to listen on"), script)
    }

    /// The same on a port that is known before.
    pub fn start_on(port: u16, script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::serve(TcpListener::bind(("127.0.0.1", port)).expect("a port to listen on"), script)
    }

    fn serve(listener: TcpListener, script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (stopping, counter) = (Arc::clone(&stop), Arc::clone(&connections));
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                thread::spawn(move || script(stream, number));
            }
        });
        Self { port, stop, connections }
    }

    /// Answers every request with `response`.
    pub fn http(response: impl Into<Vec<u8>>) -> Self {
        Self::http_on(super::free_port(), response)
    }

    /// The same on a port that is known before.
    pub fn http_on(port: u16, response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start_on(port, move |mut stream, _| {
            read_request(&mut stream);
            drop(stream.write_all(&response));
        })
    }

    /// How many connections it has had.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// `http://127.0.0.1:PORT` and `path`
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which sees that it is to stop.
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        drop(TcpStream::connect_timeout(&address, Duration::from_secs(1)));
    }
}

/// A response with this status line and body.
pub fn response(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

/// The head of a request, up to its empty line.
pub fn read_request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 100_000 {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Keeps a connection open until the other side closes it.
pub fn hold(mut stream: TcpStream) {
    let mut chunk = [0; 1024];
    while matches!(stream.read(&mut chunk), Ok(n) if n > 0) {}
}
