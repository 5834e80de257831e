//! What a run pays for: parsing targets, decoding replies, planning attempts. Figures, no verdicts.

#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use when_ready::fuzzing;

fn targets(c: &mut Criterion) {
    let env = |name: &str| (name == "PW").then(|| "p@ss".into());
    c.bench_function("parse a Postgres target", |b| {
        let word = "db=postgres://app:${PW}@db:5432/app?sslmode=require#timeout=5s";
        b.iter(|| fuzzing::shown(black_box(word), &env));
    });
    c.bench_function("parse an HTTP target", |b| {
        let word = "api=http://backend:8000/health#status=200&json=/status=ok";
        b.iter(|| fuzzing::shown(black_box(word), &env));
    });
}

fn replies(c: &mut Criterion) {
    let error = b"E\0\0\0\x38SFATAL\0C57P03\0Mthe database system is starting up\0\0";
    c.bench_function("decode a Postgres error", |b| b.iter(|| fuzzing::postgres_wire(black_box(error))));
    let role = b"*3\r\n$6\r\nmaster\r\n:3129659\r\n*0\r\n";
    c.bench_function("parse a Redis reply", |b| b.iter(|| fuzzing::redis_resp(black_box(role))));
}

fn schedule(c: &mut Criterion) {
    c.bench_function("compute a pause", |b| b.iter(|| fuzzing::pause(black_box(0.5))));
}

criterion_group!(benches, targets, replies, schedule);
criterion_main!(benches);
