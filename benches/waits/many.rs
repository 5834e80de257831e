//! Many targets: what each further one costs.

use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::Depth;
use crate::contender::{Contender, PRODUCT, bare, millis};
use crate::idle::peak;
use crate::support::{Reaper, eventually, free_port};
use crate::table::{Budget, Row, Table, Unit};

/// Targets, and the budgets: milliseconds over the bare command, and MiB.
const COUNTS: [(usize, Option<f64>, Option<f64>); 4] =
    [(10, None, None), (100, None, None), (500, Some(20.0), None), (1000, Some(50.0), Some(24.0))];

/// All become ready this long after the start.
const CLOSED_FOR: Duration = Duration::from_millis(1500);
const CAP: Duration = Duration::from_secs(20);

pub fn run(depth: Depth, table: &mut Table) {
    let port = free_port();
    all_ready(port, depth, table);
    all_at_once(port, depth, table);
}

/// The same port of many addresses, all of them this machine's.
fn targets(port: u16, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("127.0.{}.{}:{port}", 1 + n / 250, 1 + n % 250))
}

/// A server at all of them, on one thread: it is not to take the processor from the gate.
struct Server {
    socket: Socket,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    fn listen(port: u16) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("SO_REUSEADDR");
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        // As long as the system allows, so that no SYN is dropped.
        socket.bind(&address.into()).and_then(|()| socket.listen(4096)).expect("a listener");
        let server = Self { socket, accepted: Arc::default() };
        let (listener, accepted) = (server.socket.try_clone().expect("a descriptor"), Arc::clone(&server.accepted));
        thread::spawn(move || {
            while listener.accept().is_ok() {
                accepted.fetch_add(1, Ordering::SeqCst);
            }
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ends accept(2) too.
        drop(self.socket.shutdown(Shutdown::Both));
    }
}

fn all_ready(port: u16, depth: Depth, table: &mut Table) {
    let server = Server::listen(port);
    let bare = bare();
    let contenders = COUNTS.map(|(count, ..)| Contender::product(targets(port, count)));
    let mut rows: Vec<Row> = COUNTS
        .iter()
        .map(|(count, ..)| {
            Row::new("many", format!("{count} tcp targets ready, over the bare command"), PRODUCT, Unit::Milliseconds)
        })
        .collect();
    for _ in 0..depth.pick(10, 50) {
        let alone = bare.time();
        for (contender, row) in contenders.iter().zip(&mut rows) {
            row.samples.push(millis(contender.time()) - millis(alone));
        }
    }
    for (row, (_, most, _)) in rows.iter_mut().zip(COUNTS) {
        row.budgets.extend(most.map(Budget::Median));
    }
    table.figure(rows);
    let peaks = COUNTS.map(|(count, _, most)| {
        let samples = (0..depth.pick(2, 5)).map(|_| {
            server.accepted.store(0, Ordering::SeqCst);
            // One that never comes: the process stays, and can be asked for its memory.
            let waiting = targets(port, count).chain(["file:///nonexistent".to_owned()]);
            let gate = Reaper(Contender::product(waiting).spawn());
            eventually("a connection to each", || server.accepted.load(Ordering::SeqCst) >= count);
            thread::sleep(Duration::from_millis(100));
            peak(gate.0.id())
        });
        let mut row = Row::new("many", format!("{count} tcp targets ready: peak memory"), PRODUCT, Unit::Mebibytes)
            .samples(samples);
        row.budgets.extend(most.map(Budget::Median));
        row
    });
    table.figure(peaks.into());
}

fn all_at_once(port: u16, depth: Depth, table: &mut Table) {
    let rows = |what: &str, unit| {
        COUNTS.map(|(count, ..)| {
            Row::new("many", format!("{count} tcp targets become ready at once{what}"), PRODUCT, unit)
        })
    };
    let mut times = rows("", Unit::Milliseconds).map(|row| row.cap(Some(millis(CAP))));
    let mut peaks = rows(": peak memory", Unit::Mebibytes);
    for _ in 0..depth.pick(2, 5) {
        for (index, (count, ..)) in COUNTS.into_iter().enumerate() {
            let racer = Contender::product(targets(port, count)).race();
            thread::sleep(CLOSED_FOR);
            peaks[index].samples.push(peak(u32::try_from(racer.group.as_raw()).expect("a process ID")));
            let ready = Instant::now();
            let _server = Server::listen(port);
            let end = racer.success_before(ready + CAP);
            times[index].samples.push(millis(end.map_or(CAP, |end| end.saturating_duration_since(ready))));
        }
    }
    table.figure(times.into());
    table.figure(peaks.into());
}
