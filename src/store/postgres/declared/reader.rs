//! Statements, one after the other.

use super::{
    INSTEAD, Statement,
    clauses::{action, elements, is, parser, pass, rest, skip, why},
    draft::{Around, Draft, Lost, Name, folded},
    statements,
    types::Types,
};
use crate::error::{Error, Kind, Result};
use sqlparser::{keywords::Keyword, parser::Parser, tokenizer::Token};

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
    let text = without_commands(text);
    let mut reader = Reader { file, schema: schema.to_owned(), types: Types::default(), drafts: Vec::new() };
    statements(&text).iter().try_for_each(|it| reader.take(it, 0))?;
    Ok(reader.drafts)
}

/// The text without what is for `psql` alone: lines that begin with a backslash, and rows behind `COPY … FROM stdin`.
fn without_commands(text: &str) -> String {
    let (mut out, mut rows) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        let words = folded(line.trim_end());
        if rows || words.starts_with('\\') {
            rows &= words != "\\.";
            out.push('\n');
        } else {
            rows = words.starts_with("copy ") && words.ends_with("from stdin;");
            out.push_str(line);
        }
    }
    out
}

impl Reader<'_> {
    /// Takes in what a statement says, which stands `above` lines below the beginning of the file.
    fn take(&mut self, it: &Statement<'_>, above: usize) -> Result<()> {
        let words: Vec<String> = it.words.iter().map(|it| folded(it)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words.first() == Some(&"do") {
            return self.block(it, above + it.line - 1);
        }
        let place = self.place(it, above);
        let taken = match within(&words) {
            ["create", rest @ ..] => self.create(it.text, rest, &place),
            ["alter", "table", ..] | ["alter", "foreign", "table", ..] => self.alter(it.text, &place),
            ["drop", "table" | "index", ..] => self.drop(it.text),
            ["set", ..] => {
                self.search(&it.words);
                Ok(())
            }
            _ => Ok(()),
        };
        taken.map_err(|why| refused(&place, &why))
    }

    fn place(&self, it: &Statement<'_>, above: usize) -> String {
        let begins = it.text.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        format!("{}:{}: `{begins}`", self.file, above + it.line)
    }

    /// Follows what stands in a block, such as one that passes over what is there already.
    fn block(&mut self, it: &Statement<'_>, above: usize) -> Result<()> {
        let Some(quoted) = it.words.iter().find(|it| it.starts_with('$')) else { return Ok(()) };
        let tag = quoted[1..].find('$').map_or(0, |it| it + 2);
        let body = quoted.get(tag..quoted.len().saturating_sub(tag)).unwrap_or_default();
        let above = above + it.text.split(quoted).next().map_or(0, |it| it.matches('\n').count());
        for inner in statements(body) {
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

    fn drop(&mut self, text: &str) -> Lost {
        let mut parser = parser(text, Keyword::DROP)?;
        let table = parser.parse_keyword(Keyword::TABLE);
        skip(&mut parser, &[Keyword::INDEX]);
        skip(&mut parser, &[Keyword::CONCURRENTLY]);
        skip(&mut parser, &[Keyword::IF, Keyword::EXISTS]);
        for name in parser.parse_comma_separated(|it| it.parse_object_name(false)).map_err(why)? {
            let name = Name::of(&name, &self.schema);
            match table {
                true => self.drafts.retain(|it| it.name != name),
                false => {
                    let there = self.drafts.iter_mut().filter(|it| it.name.schema == name.schema);
                    there.for_each(|it| it.release(&name.name));
                }
            }
        }
        Ok(())
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

fn refused(place: &str, why: &str) -> Error {
    Error::new(Kind::Plan, format_args!("{place} cannot be followed: {why}; {INSTEAD}"))
}
