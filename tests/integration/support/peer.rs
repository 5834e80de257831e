//! Scripted peers: what a server does to each connection is a closure.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use socket2::SockRef;

/// A scripted server on a port of its own.
pub struct Peer {
    /// Where it listens.
    pub port: u16,
    listener: Arc<TcpListener>,
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

    /// The same on a socket that listens already.
    pub fn serve(listener: TcpListener, script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let listener = Arc::new(listener);
        let connections = Arc::new(AtomicUsize::new(0));
        let (accepting, counter) = (Arc::clone(&listener), Arc::clone(&connections));
        let script = Arc::new(script);
        thread::spawn(move || {
            loop {
                let stream = match accepting.accept() {
                    Ok((stream, _)) => stream,
                    // The socket is shut down.
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return,
                    Err(_) => continue,
                };
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let script = Arc::clone(&script);
                thread::spawn(move || script(stream, number));
            }
        });
        Self { port, listener, connections }
    }

    /// Answers every request with `response`.
    pub fn http(response: impl Into<Vec<u8>>) -> Self {
        Self::http_on(super::free_port(), response)
    }

    /// The same on a port that is known before.
    pub fn http_on(port: u16, response: impl Into<Vec<u8>>) -> Self {
        Self::start_on(port, respond(response))
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
        drop(SockRef::from(&*self.listener).shutdown(Shutdown::Both));
    }
}

/// A script that answers every request with `response`.
pub fn respond(response: impl Into<Vec<u8>>) -> impl Fn(TcpStream, usize) + Send + Sync + 'static {
    let response = response.into();
    move |mut stream, _| {
        read_request(&mut stream);
        drop(stream.write_all(&response));
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
