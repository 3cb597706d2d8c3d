//! stub
#![allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    pub seconds: i64,
    pub nanos: u32,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    None,
    Offset(i32),
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochUnit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}
impl Unit {
    pub fn parse(_: &str) -> Option<Unit> {
        None
    }
    pub fn name(self) -> &'static str {
        ""
    }
}
impl Moment {
    pub const PAST: Moment = Moment { seconds: i64::MIN, nanos: 0 };
    pub const FUTURE: Moment = Moment { seconds: i64::MAX, nanos: 0 };
    pub fn truncate(self, _: Unit) -> Moment {
        self
    }
}
pub fn parse_moment(_: &str) -> Option<(Moment, Zone)> {
    None
}
pub fn write_moment(_: Moment, _: bool, _: &mut Vec<u8>) {}
pub fn parse_date(_: &str) -> Option<i64> {
    None
}
pub fn write_date(_: i64, _: &mut Vec<u8>) {}
pub fn parse_time(_: &str) -> Option<u64> {
    None
}
pub fn write_time(_: u64, _: &mut Vec<u8>) {}
pub fn truncate_time(nanos: u64, _: Unit) -> u64 {
    nanos
}
pub fn from_epoch(_: i64, _: EpochUnit) -> Option<Moment> {
    None
}
