//! Gzip and tar (POSIX.1-1988 *ustar*, with the long names of POSIX.1-2001 and GNU), as far as bundles
//! need them: plain files and folders. Everything else in an archive is refused.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;

use super::{BundleDefect, Files};

/// Longest bundle, packed.
pub const MAX_PACKED: usize = 16 << 20;
/// Longest bundle, unpacked.
pub const MAX_UNPACKED: usize = 64 << 20;
/// Most files in one.
pub const MAX_FILES: usize = 5_000;
/// Longest path.
const MAX_PATH: usize = 512;
const BLOCK: usize = 512;

/// Unpacks the files of a bundle by their paths.
pub(super) fn unpack(packed: &[u8]) -> Result<Files, BundleDefect> {
    if packed.len() > MAX_PACKED {
        return Err(BundleDefect::Gzip);
    }
    let mut tar = Vec::new();
    let most = u64::try_from(MAX_UNPACKED).unwrap_or(u64::MAX) + 1;
    GzDecoder::new(packed)
        .take(most)
        .read_to_end(&mut tar)
        .map_err(|_| BundleDefect::Gzip)?;
    if tar.len() > MAX_UNPACKED {
        return Err(BundleDefect::Gzip);
    }
    files(&tar)
}

fn files(tar: &[u8]) -> Result<Files, BundleDefect> {
    let mut files = BTreeMap::new();
    let mut rest = tar;
    // A longer name for the next file.
    let mut long: Option<String> = None;
    while let Some((head, after)) = rest.split_at_checked(BLOCK) {
        if head.iter().all(|byte| *byte == 0) {
            break;
        }
        let size = size(head)?;
        let padded = size.div_ceil(BLOCK) * BLOCK;
        let body = after
            .get(..size)
            .ok_or(BundleDefect::Tar("it is cut off"))?;
        rest = after.get(padded..).unwrap_or_default();
        match head[156] {
            b'x' => long = pax_path(body)?.or(long),
            b'g' => {}
            b'L' => {
                let text = body.split(|byte| *byte == 0).next().unwrap_or_default();
                long = Some(utf8(text)?);
            }
            b'5' => long = None,
            b'0' | 0 => {
                let path = match long.take() {
                    Some(path) => path,
                    None => name(head)?,
                };
                let path = clean(&path)?;
                if files.len() >= MAX_FILES {
                    return Err(BundleDefect::Tar("it has too many files"));
                }
                if files.insert(path, body.to_vec()).is_some() {
                    return Err(BundleDefect::Tar("a path is in it twice"));
                }
            }
            _ => return Err(BundleDefect::Tar("it has links or devices")),
        }
    }
    Ok(files)
}

fn utf8(bytes: &[u8]) -> Result<String, BundleDefect> {
    String::from_utf8(bytes.to_vec()).map_err(|_| BundleDefect::Tar("a path is no UTF-8"))
}

/// The size of a file: octal digits, after a checksum that holds.
fn size(head: &[u8]) -> Result<usize, BundleDefect> {
    let wrong = BundleDefect::Tar("a header is broken");
    let written = octal(&head[148..156]).ok_or(wrong.clone())?;
    let field = 148..156;
    let sum: usize = head
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            let byte = if field.contains(&at) { b' ' } else { *byte };
            usize::from(byte)
        })
        .sum();
    if sum != written {
        return Err(wrong);
    }
    octal(&head[124..136]).ok_or(wrong)
}

fn octal(field: &[u8]) -> Option<usize> {
    let text = core::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        return Some(0);
    }
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| usize::from_str_radix(digits, 8).ok())
        .flatten()
}

fn name(head: &[u8]) -> Result<String, BundleDefect> {
    let text = |field: &[u8]| utf8(field.split(|byte| *byte == 0).next().unwrap_or_default());
    let name = text(&head[..100])?;
    if &head[257..263] == b"ustar\0" {
        let prefix = text(&head[345..500])?;
        if !prefix.is_empty() {
            return Ok(format!("{prefix}/{name}"));
        }
    }
    Ok(name)
}

/// The `path` of extended headers: lines of `LENGTH KEY=VALUE\n`.
fn pax_path(mut body: &[u8]) -> Result<Option<String>, BundleDefect> {
    let wrong = || BundleDefect::Tar("an extended header is broken");
    let mut path = None;
    while !body.is_empty() {
        let space = body
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or_else(wrong)?;
        let length = core::str::from_utf8(&body[..space])
            .ok()
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|length| (space + 2..=body.len()).contains(length))
            .ok_or_else(wrong)?;
        let record = &body[space + 1..length];
        let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(utf8(value)?);
        }
        if record.starts_with(b"size=") || record.starts_with(b"GNU.sparse") {
            return Err(BundleDefect::Tar("it has files of unusual size"));
        }
        body = &body[length..];
    }
    Ok(path)
}

/// A path inside the bundle, without a leading `/` or `./`.
fn clean(path: &str) -> Result<String, BundleDefect> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = path.strip_prefix('/').unwrap_or(path);
    let good = |step: &str| !matches!(step, "" | "." | "..");
    let clean = path.len() <= MAX_PATH
        && path.split('/').all(good)
        && !path
            .chars()
            .any(|letter| letter.is_control() || letter == '\\');
    if clean {
        Ok(path.to_owned())
    } else {
        Err(BundleDefect::Tar("a path leads out of it"))
    }
}
