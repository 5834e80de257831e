//! What a run pays for: parsing targets, decoding replies, planning attempts. Figures, no verdicts.

#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use when_ready::backoff::Backoff;
use when_ready::endpoint::variables::Lookup;
use when_ready::endpoint::{HttpDefaults, Surroundings, Target};
use when_ready::probe::{postgres::wire, redis::resp};

fn targets(c: &mut Criterion) {
    let http = HttpDefaults::default();
    let env = |name: &str| (name == "PW").then(|| "p@ss".into());
    let file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let context = Surroundings { lookup: Lookup { env: &env, file: &file }, http: &http };
    c.bench_function("parse a Postgres target", |b| {
        b.iter(|| Target::parse(black_box("db=postgres://app:${PW}@db:5432/app?sslmode=require#timeout=5s"), &context));
    });
    c.bench_function("parse an HTTP target", |b| {
        b.iter(|| Target::parse(black_box("api=http://backend:8000/health#status=200&json=/status=ok"), &context));
    });
}

fn replies(c: &mut Criterion) {
    let error = b"E\0\0\0\x38SFATAL\0C57P03\0Mthe database system is starting up\0\0";
    c.bench_function("decode a Postgres error", |b| b.iter(|| wire::decode(black_box(error))));
    let role = b"*3\r\n$6\r\nmaster\r\n:3129659\r\n*0\r\n";
    c.bench_function("parse a Redis reply", |b| b.iter(|| resp::parse(black_box(role))));
}

fn schedule(c: &mut Criterion) {
    let backoff = Backoff::default();
    c.bench_function("compute a pause", |b| b.iter(|| backoff.pause(black_box(100), black_box(0.5))));
}

criterion_group!(benches, targets, replies, schedule);
criterion_main!(benches);
