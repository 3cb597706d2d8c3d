//! stub
#![allow(missing_docs)]
pub fn canonical(t: &str, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(t.as_bytes());
    true
}
pub fn from_f64(v: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(v.to_string().as_bytes())
}
pub fn from_i64(v: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(v.to_string().as_bytes())
}
pub fn write_ordered(_: &str, _: &mut Vec<u8>) {}
pub fn read_ordered(_: &[u8], _: &mut Vec<u8>) -> Option<usize> {
    None
}
pub fn round(t: &str, _: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(t.as_bytes())
}
