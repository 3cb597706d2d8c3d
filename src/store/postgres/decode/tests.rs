//! Streams as a server may send them, and as none should.

use super::*;
use crate::{
    row::{Field, Shape},
    value::cast::Cast,
};
use proptest::prelude::*;
use std::sync::Arc;

const FORMS: [Form; 22] = [
    Form::Bool,
    Form::Int2,
    Form::Int4,
    Form::Int8,
    Form::Oid,
    Form::Float4,
    Form::Float8,
    Form::Numeric,
    Form::Text,
    Form::Label,
    Form::Bytes,
    Form::Date,
    Form::Time,
    Form::DateTime,
    Form::Timestamp,
    Form::Uuid,
    Form::Json,
    Form::Jsonb,
    Form::Spelled,
    Form::Money,
    Form::Array,
    Form::Composite,
];

fn cells(forms: &[Form]) -> Vec<Cell> {
    forms.iter().map(|&form| Cell { form, to: form.ty(), column: "c".to_owned() }).collect()
}

fn batch(forms: &[Form]) -> Batch {
    let fields: Vec<Field> = forms.iter().map(|it| Field::new("c", Cast::new(it.ty()))).collect();
    Batch::new(Arc::new(Shape { key: 0, compared: fields.len(), fields, keyless: false }))
}

fn begun() -> Vec<u8> {
    [SIGNATURE, &[0; 8]].concat()
}

fn stream(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
    let mut out = begun();
    for row in rows {
        out.extend((row.len() as i16).to_be_bytes());
        for field in *row {
            out.extend(field.map_or(-1, |it| it.len() as i32).to_be_bytes());
            out.extend(field.unwrap_or_default());
        }
    }
    out.extend(END.to_be_bytes());
    out
}

/// Decodes messages to the end and gives the rows, or why not.
fn decoded<'m>(forms: &[Form], messages: impl IntoIterator<Item = &'m [u8]>) -> Result<Vec<Vec<u8>>> {
    let (mut decoder, mut batch) = (Decoder::new(cells(forms)), batch(forms));
    messages.into_iter().try_for_each(|it| decoder.take(it, &mut batch))?;
    decoder.end()?;
    assert_eq!(decoder.rows, batch.len() as u64);
    Ok(batch.rows().map(|it| it.bytes().to_vec()).collect())
}

#[test]
fn however_it_is_cut() {
    let forms = [Form::Int4, Form::Text];
    let rows: [&[Option<&[u8]>]; 3] =
        [&[Some(&[0, 0, 0, 1]), Some(b"a")], &[None, Some(b"")], &[Some(&[0xff, 0xff, 0xff, 0xff]), None]];
    let whole = stream(&rows);
    let expect = decoded(&forms, [whole.as_slice()]).expect("it is right");
    assert_eq!(expect.len(), 3);
    for size in 1..=whole.len() {
        assert_eq!(decoded(&forms, whole.chunks(size)).expect("it is right"), expect, "messages of {size} bytes");
    }
    for cut in 0..whole.len() {
        let error = decoded(&forms, [&whole[..cut]]).expect_err("it is cut off").to_string();
        assert!(error.contains("cut off"), "{error}");
    }
}

#[test]
fn an_extension_of_the_head_is_passed_over() {
    let mut whole = [SIGNATURE, &[0, 0, 0, 0], &[0, 0, 0, 3], b"ext"].concat();
    whole.extend(END.to_be_bytes());
    assert!(decoded(&[Form::Bool], whole.chunks(5)).expect("it is right").is_empty());
}

#[test]
fn no_streams() {
    let right = stream(&[&[Some(&[1])]]);
    let with = |at: usize, byte: u8| {
        let mut wrong = right.clone();
        wrong[at] = byte;
        wrong
    };
    for (bytes, why) in [
        (with(0, b'p'), "begin"),
        (with(SIGNATURE.len(), 1), "flags"),
        (with(HEAD + 1, 2), "2 fields, not 1"),
        (with(HEAD, 0x80), "fields"),
        (with(HEAD + 2, 0x80), "no length"),
        (with(HEAD + 5, 9), "cut off"),
        (with(HEAD + 6, 2), "1 bytes of column `c` are no Bool"),
        ([right.as_slice(), b"x"].concat(), "after its end"),
        ([right.as_slice(), &END.to_be_bytes()].concat(), "after its end"),
    ] {
        let error = decoded(&[Form::Bool], [bytes.as_slice()]).expect_err(why).to_string();
        assert!(error.contains(why), "{error}, not {why}");
    }
}

#[test]
fn values_of_the_wrong_size() {
    let any_size = [Form::Text, Form::Label, Form::Spelled, Form::Bytes, Form::Json, Form::Array, Form::Composite];
    for form in FORMS {
        for size in [0, 3, 9] {
            let field = vec![0x7f; size];
            let read = decoded(&[form], [stream(&[&[Some(&field)]]).as_slice()]);
            assert_eq!(read.is_ok(), any_size.contains(&form), "{size} bytes of {form:?}");
        }
    }
    // A time of day that no day has.
    assert!(decoded(&[Form::Time], [stream(&[&[Some(&(DAY_MICROS + 1).to_be_bytes())]]).as_slice()]).is_err());
    assert!(decoded(&[Form::Time], [stream(&[&[Some(&(-1i64).to_be_bytes())]]).as_slice()]).is_err());
    assert!(decoded(&[Form::Jsonb], [stream(&[&[Some(b"\x02{}")]]).as_slice()]).is_err());
}

#[test]
fn singles_are_what_their_text_says() {
    for (single, expect) in [(0.1f32, 0.1f64), (16_777_216.0, 16_777_216.0), (1e38, 1e38), (-3.4e-5, -3.4e-5)] {
        assert_eq!(widened(single).to_bits(), expect.to_bits(), "{single}");
    }
    assert!(widened(f32::NAN).is_nan());
}

#[test]
fn the_last_date() {
    let mut out = Vec::new();
    write_date(LAST_DATE, &mut out);
    assert_eq!(out, b"+999999-12-31");
}

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>, begins: bool, cut in 1usize..40) {
        let bytes = if begins { [begun(), bytes].concat() } else { bytes };
        let _ = decoded(&FORMS[..3], bytes.chunks(cut));
    }

    #[test]
    fn any_values(values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), FORMS.len())) {
        let row: Vec<Option<&[u8]>> = values.iter().map(|it| it.as_deref()).collect();
        let _ = decoded(&FORMS, [stream(&[&row]).as_slice()]);
        for (form, value) in FORMS.iter().zip(row) {
            let _ = decoded(&[*form], [stream(&[&[value]]).as_slice()]);
        }
    }
}
