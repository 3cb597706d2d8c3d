//! Statements, one after the other.

use super::{
    INSTEAD, Statement, Unclear,
    clauses::{action, elements, is, parser, pass, rest, skip, why},
    draft::{Around, Draft, Lost, Name, folded},
    statements,
    types::Types,
};
use crate::error::{Error, Kind, Result};
use sqlparser::{keywords::Keyword, parser::Parser, tokenizer::Token};
use std::{borrow::Cow, collections::BTreeMap};

/// What was read so far.
struct Reader<'r> {
    file: &'r str,
    /// The schema of names without one.
    schema: String,
    types: Types,
    drafts: Vec<Draft>,
}

/// The tables that the statements of a text make. `schema` is the one of names without one, while the text names no other.
///
/// # Errors
/// If it cannot be told what a statement does to which table.
pub(super) fn read(file: &str, text: &str, schema: &str) -> Result<Vec<Draft>> {
    let mut reader = Reader { file, schema: schema.to_owned(), types: Types::default(), drafts: Vec::new() };
    reader.cut(text, 0)?.iter().try_for_each(|it| reader.take(it, 0))?;
    Ok(reader.drafts)
}

impl Reader<'_> {
    /// The statements of a text, which stands `above` lines below the beginning of the file.
    fn cut<'t>(&self, text: &'t str, above: usize) -> Result<Vec<Statement<'t>>> {
        statements(text).map_err(|Unclear { line, what }| {
            let (file, line) = (self.file, above + line);
            Error::new(Kind::Plan, format_args!("{file}:{line}: {what}"))
        })
    }

    /// Takes in what a statement says, which stands `above` lines below the beginning of the file.
    fn take(&mut self, it: &Statement<'_>, above: usize) -> Result<()> {
        let words: Vec<String> = it.words.iter().map(|it| folded(it)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.first() == Some(&"do") {
            return self.block(it, above + it.line - 1);
        }
        let place = self.place(it, above);
        // What a reference rests on may go, and it with it.
        let held = words.contains(&"drop").then(|| self.held());
        let taken = match within(&words) {
            ["create", rest @ ..] => self.create(it.text, rest, &place),
            ["alter", "table", ..] | ["alter", "foreign", "table", ..] => self.alter(it.text, &place),
            ["drop", "foreign", what @ "table", ..] => self.drop(it.text, what),
            ["drop", what @ ("table" | "index" | "type" | "domain" | "schema"), ..] => self.drop(it.text, what),
            ["set", ..] => {
                self.search(&it.words);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Some(before) = held {
            let now = self.held();
            for (table, mut names) in before {
                names.retain(|it| now.get(&table).is_none_or(|now| !now.contains(it)));
                self.drafts.iter_mut().filter(|it| it.name == table).for_each(|it| it.let_go(&names));
            }
        }
        taken.map_err(|why| refused(&place, &why))
    }

    /// The references of each table that lead somewhere.
    fn held(&self) -> BTreeMap<Name, Vec<String>> {
        self.drafts.iter().map(|it| (it.name.clone(), it.held(&self.drafts))).collect()
    }

    fn place(&self, it: &Statement<'_>, above: usize) -> String {
        let begins = it.text.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        format!("{}:{}: `{begins}`", self.file, above + it.line)
    }

    /// Follows what stands in a block, such as one that passes over what is there already.
    fn block(&mut self, it: &Statement<'_>, above: usize) -> Result<()> {
        // A language may stand in quotes as well.
        let (languages, others): (Vec<_>, Vec<_>) =
            it.words.windows(2).partition(|it| it[0].eq_ignore_ascii_case("language"));
        let Some((quoted, body)) = others.iter().find_map(|it| Some((it[1], unquoted(it[1])?))) else {
            return Ok(());
        };
        if languages.iter().any(|it| folded(it[1].trim_matches(['\'', '"'])) != "plpgsql") {
            let why = "what this does to tables cannot be told";
            let place = self.place(it, above + 1 - it.line);
            return if folded(&body).contains("table") { Err(refused(&place, why)) } else { Ok(()) };
        }
        let above = above + it.text.split(quoted).next().map_or(0, |it| it.matches('\n').count());
        for inner in self.cut(&body, above)? {
            let text = folded(inner.text);
            let followed =
                matches!(within(&text.split_whitespace().collect::<Vec<_>>()), ["create" | "alter" | "drop", ..]);
            let changes = ["execute", "create", "alter", "drop"].iter().any(|it| text.contains(it));
            if !followed && changes && text.contains("table") {
                return Err(refused(&self.place(&inner, above), "what this does to tables cannot be told"));
            }
            self.take(&inner, above)?;
        }
        Ok(())
    }

    fn create(&mut self, text: &str, words: &[&str], place: &str) -> Lost {
        match words {
            ["or", "replace", rest @ ..] | ["unlogged" | "foreign", rest @ ..] => self.create(text, rest, place),
            ["table", ..] => self.table(text, place),
            ["unique", "index", ..] => self.index(text, place),
            ["type" | "domain", ..] => self.make(text),
            ["schema", rest @ ..] if rest.contains(&"table") => Err("tables in it are not followed".to_owned()),
            _ => Ok(()),
        }
    }

    fn table(&mut self, text: &str, place: &str) -> Lost {
        let mut parser = parser(text, Keyword::TABLE)?;
        skip(&mut parser, &[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let written = parser.parse_object_name(false).map_err(why)?;
        let name = Name::of(&written, &self.schema);
        // The catalogs list the whole, and not its parts.
        if self.drafts.iter().any(|it| it.name == name) || parser.parse_keywords(&[Keyword::PARTITION, Keyword::OF]) {
            return Ok(());
        }
        let mut draft = Draft::new(name, written.0.len() > 1);
        let around = Around { types: &self.types, schema: &self.schema, place };
        if let Err(why) = elements(&mut parser, &mut draft, &around) {
            draft.lose(place, &why);
        }
        // Its rows are a type, too.
        self.types.make(draft.name.clone(), "c");
        self.drafts.push(draft);
        Ok(())
    }

    fn alter(&mut self, text: &str, place: &str) -> Lost {
        let mut parser = parser(text, Keyword::TABLE)?;
        skip(&mut parser, &[Keyword::IF, Keyword::EXISTS]);
        skip(&mut parser, &[Keyword::ONLY]);
        let name = self.name(&mut parser)?;
        let _ = parser.consume_token(&Token::Mul);
        if parser.parse_keywords(&[Keyword::ATTACH, Keyword::PARTITION]) {
            let part = self.name(&mut parser)?;
            self.drafts.retain(|it| it.name != part);
            return Ok(());
        }
        let around = Around { types: &self.types, schema: &self.schema, place };
        let Some(draft) = self.drafts.iter_mut().find(|it| it.name == name) else { return Ok(()) };
        loop {
            if let Err(why) = action(&mut parser, draft, &around) {
                draft.lose(place, &why);
                return Ok(());
            }
            pass(&mut parser);
            if !parser.consume_token(&Token::Comma) {
                return Ok(());
            }
        }
    }

    fn index(&mut self, text: &str, place: &str) -> Lost {
        let mut parser = parser(text, Keyword::INDEX)?;
        skip(&mut parser, &[Keyword::CONCURRENTLY]);
        skip(&mut parser, &[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = match parser.peek_keyword(Keyword::ON) {
            true => None,
            false => Some(parser.parse_identifier().map_err(why)?),
        };
        parser.expect_keyword(Keyword::ON).map_err(why)?;
        skip(&mut parser, &[Keyword::ONLY]);
        let table = self.name(&mut parser)?;
        let Some(draft) = self.drafts.iter_mut().find(|it| it.name == table) else { return Ok(()) };
        if parser.parse_keyword(Keyword::USING) {
            parser.parse_identifier().map_err(why)?;
        }
        let columns = parser.expect_token(&Token::LParen);
        let columns = columns.and_then(|_| parser.parse_comma_separated(Parser::parse_create_index_expr));
        match columns {
            Err(error) => draft.lose(place, &why(error)),
            // It holds for some rows only.
            Ok(_) if rest(&mut parser).any(|it| is(&it, Keyword::WHERE)) => {}
            Ok(columns) => draft.keyed(name.as_ref(), &columns, false, "idx"),
        }
        Ok(())
    }

    fn make(&mut self, text: &str) -> Lost {
        let mut parser = parser(text, Keyword::CREATE)?;
        let domain = parser.parse_keyword(Keyword::DOMAIN);
        if !domain {
            parser.expect_keyword(Keyword::TYPE).map_err(why)?;
        }
        let name = self.name(&mut parser)?;
        let as_is = parser.parse_keyword(Keyword::AS);
        if domain {
            // Columns of a domain that cannot be read are of a type that is not known.
            let of = parser.parse_data_type().ok().and_then(|it| self.types.find(&it, &self.schema).0);
            self.types.make_domain(name, of);
            return Ok(());
        }
        let class = match parser.next_token().token {
            it if is(&it, Keyword::ENUM) => "e",
            it if is(&it, Keyword::RANGE) => "r",
            Token::LParen if as_is => "c",
            _ => "b",
        };
        self.types.make(name, class);
        Ok(())
    }

    /// Also drops what cannot be without it, where the statement says CASCADE. Where it does not, the server has seen to it that there
    /// is no such thing.
    fn drop(&mut self, text: &str, what: &str) -> Lost {
        let mut parser = parser(text, Keyword::DROP)?;
        skip(&mut parser, &[Keyword::FOREIGN]);
        parser.advance_token();
        skip(&mut parser, &[Keyword::CONCURRENTLY]);
        skip(&mut parser, &[Keyword::IF, Keyword::EXISTS]);
        let names = parser.parse_comma_separated(|it| it.parse_object_name(false)).map_err(why)?;
        let cascade = parser.parse_keyword(Keyword::CASCADE);
        for written in names {
            let name = Name::of(&written, &self.schema);
            match what {
                "index" => {
                    let there = self.drafts.iter_mut().filter(|it| it.name.schema == name.schema);
                    there.for_each(|it| it.drop_index(&name.name));
                }
                "schema" => self.forget(&|it| it.schema == name.name, cascade),
                _ => self.forget(&|it| *it == name, cascade),
            }
        }
        Ok(())
    }

    /// Drops tables and types, and what is of such a type where the drop cascades. The rows of a table are a type, too.
    fn forget(&mut self, gone: &dyn Fn(&Name) -> bool, cascade: bool) {
        self.drafts.retain(|it| !gone(&it.name));
        self.types.drop(gone);
        if cascade {
            self.drafts.iter_mut().for_each(|it| it.drop_types(gone));
        }
    }

    /// Takes the first schema of a search path.
    fn search(&mut self, words: &[&str]) {
        let Some(place) = words.iter().position(|it| folded(it) == "search_path") else { return };
        let name = |written: &&str| match written.trim_matches(['"', '\'']) {
            it if it.len() < written.len() => it.to_owned(),
            it => folded(it),
        };
        let names = words.iter().skip(place + 2).map(name);
        let mut names = names.filter(|it| !["", ",", "$user", "default"].contains(&it.as_str()));
        self.schema = names.next().unwrap_or_else(|| self.schema.clone());
    }

    fn name(&self, parser: &mut Parser<'_>) -> Lost<Name> {
        Ok(Name::of(&parser.parse_object_name(false).map_err(why)?, &self.schema))
    }
}

/// A statement without what comes before it in a block.
fn within<'w>(words: &'w [&'w str]) -> &'w [&'w str] {
    match words {
        ["begin", rest @ ..] => within(rest),
        ["if", rest @ ..] => rest.iter().position(|it| *it == "then").map_or(&[], |it| &rest[it + 1..]),
        words => words,
    }
}

/// What stands between dollars or quotes. What a backslash stands for stays as it is: such a body is followed as far as it goes
/// without.
fn unquoted(word: &str) -> Option<Cow<'_, str>> {
    let between = |length: usize| word.get(length..word.len().saturating_sub(length)).unwrap_or_default();
    match word.as_bytes().first()? {
        b'$' => Some(between(word[1..].find('$')? + 2).into()),
        b'\'' => Some(between(1).replace("''", "'").into()),
        b'e' | b'E' if word[1..].starts_with('\'') => unquoted(&word[1..]),
        _ => None,
    }
}

fn refused(place: &str, why: &str) -> Error {
    Error::new(Kind::Plan, format_args!("{place} cannot be followed: {why}; {INSTEAD}"))
}
