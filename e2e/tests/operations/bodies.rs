//! **Large bodies**: they stream both ways, and memory stays flat.

use std::io::{Read as _, Write as _};

use testkit::doorward::Doorward;
use testkit::wire::{self, find};

use super::backend::Backend;
use super::scene;

const SIZE: usize = 100 * 1024 * 1024;
const MOST_GROWTH_KIB: u64 = 32 * 1024;

#[test]
fn a_body_of_100_mb_streams_both_ways_in_flat_memory() {
    let upstream = Backend::start("one");
    let doorward = Doorward::start(&scene::settings(&upstream.url())).unwrap();
    // The first call warms pools and buffers up.
    assert_eq!(doorward.get("/open", &[]).unwrap().status, 200);
    let before = peak_kib(doorward.pid());

    let mut stream = wire::connect(doorward.gateway()).unwrap();
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: {}\r\ncontent-length: {SIZE}\r\n\r\n",
        doorward.gateway()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..SIZE / piece.len() {
        stream.write_all(&piece).unwrap();
    }
    let answer = wire::first_answer(&mut stream).unwrap();
    assert_eq!((answer.status, answer.text()), (200, SIZE.to_string()));
    let uploaded = peak_kib(doorward.pid());

    let mut stream = wire::connect(doorward.gateway()).unwrap();
    let head = format!(
        "GET /stream?{SIZE} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        doorward.gateway()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let got = read_to_end(&mut stream);
    assert!(got >= SIZE as u64, "{got} bytes of {SIZE}");
    let downloaded = peak_kib(doorward.pid());

    println!(
        "peak memory: {} KiB before, {} KiB after 100 MB up, {} KiB after 100 MB down",
        before, uploaded, downloaded
    );
    assert!(
        uploaded - before < MOST_GROWTH_KIB,
        "grew by {} KiB",
        uploaded - before
    );
    assert!(
        downloaded - before < MOST_GROWTH_KIB,
        "grew by {} KiB",
        downloaded - before
    );
}

/// Counts what comes after the head without keeping it.
fn read_to_end(stream: &mut std::net::TcpStream) -> u64 {
    let mut buffer = vec![0u8; 256 * 1024];
    let mut head = Vec::new();
    let mut total = 0u64;
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            return total;
        }
        if total == 0 {
            head.extend_from_slice(&buffer[..read]);
            if let Some(at) = find(&head, b"\r\n\r\n") {
                assert!(head.starts_with(b"HTTP/1.1 200 "));
                total = (head.len() - at - 4) as u64;
            }
        } else {
            total += read as u64;
        }
    }
}

/// Resident memory of a process now, in KiB.
pub(super) fn resident_kib(pid: u32) -> u64 {
    figure(pid, "VmRSS:")
}

/// The most it ever was.
fn peak_kib(pid: u32) -> u64 {
    figure(pid, "VmHWM:")
}

fn figure(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
