//! Statements, one after the other.

use super::{
    INSTEAD, Statement,
    draft::{Around, Draft, Lost, Name, folded, folded_ident},
    statements,
    types::Types,
};
use crate::error::{Error, Kind, Result};
use sqlparser::{
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::Token,
};
use std::iter;

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
        parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = self.name(&mut parser)?;
        // The catalogs list the whole, and not its parts.
        if self.drafts.iter().any(|it| it.name == name) || parser.parse_keywords(&[Keyword::PARTITION, Keyword::OF]) {
            return Ok(());
        }
        let mut draft = Draft::new(name);
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
        parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
        parser.parse_keyword(Keyword::ONLY);
        let name = self.name(&mut parser)?;
        parser.consume_token(&Token::Mul);
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
        parser.parse_keyword(Keyword::CONCURRENTLY);
        parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
        let name = match parser.peek_keyword(Keyword::ON) {
            true => None,
            false => Some(parser.parse_identifier().map_err(why)?),
        };
        parser.expect_keyword(Keyword::ON).map_err(why)?;
        parser.parse_keyword(Keyword::ONLY);
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
        parser.parse_keyword(Keyword::INDEX);
        parser.parse_keyword(Keyword::CONCURRENTLY);
        parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
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

/// What stands behind the first `keyword` of a statement.
fn parser(text: &str, keyword: Keyword) -> Lost<Parser<'static>> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(why)?;
    while parser.peek_token_ref().token != Token::EOF && !parser.parse_keyword(keyword) {
        parser.next_token();
    }
    Ok(parser)
}

fn is(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(it) if it.keyword == keyword && it.quote_style.is_none())
}

/// Goes on to the next comma, or to the end of the parentheses or the statement.
fn pass(parser: &mut Parser<'_>) {
    let mut depth = 0;
    loop {
        match parser.peek_token_ref().token {
            Token::EOF => return,
            Token::Comma | Token::RParen if depth == 0 => return,
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        parser.next_token();
    }
}

/// What a statement ends with.
fn rest(parser: &mut Parser<'_>) -> impl Iterator<Item = Token> {
    iter::from_fn(|| Some(parser.next_token().token).filter(|it| *it != Token::EOF))
}

/// Where in a statement that was is for nobody to see: it is counted from the statement's first line.
fn why(error: ParserError) -> String {
    let text = match error {
        ParserError::TokenizerError(it) | ParserError::ParserError(it) => it,
        ParserError::RecursionLimitExceeded => "it goes too deep".to_owned(),
    };
    text.split(" at Line: ").next().unwrap_or_default().to_owned()
}

/// The columns and constraints of a table.
fn elements(parser: &mut Parser<'_>, draft: &mut Draft, around: &Around<'_>) -> Lost {
    parser.expect_token(&Token::LParen).map_err(why)?;
    while !parser.consume_token(&Token::RParen) {
        if parser.parse_keyword(Keyword::LIKE) {
            return Err("its columns are those of another table".to_owned());
        }
        match parser.parse_optional_table_constraint().map_err(why)? {
            Some(it) => {
                draft.constrain(&it, around)?;
                // Where its index is kept, and such things.
                pass(parser);
            }
            None => draft.column(&parser.parse_column_def().map_err(why)?, around)?,
        }
        if !parser.consume_token(&Token::Comma) && parser.peek_token_ref().token != Token::RParen {
            return Err(format!("`{}` is not known there", parser.peek_token_ref().token));
        }
    }
    match rest(parser).find(|it| is(it, Keyword::INHERITS) || is(it, Keyword::AS)) {
        Some(_) => Err("it has columns that are written elsewhere".to_owned()),
        None => Ok(()),
    }
}

/// One change to a table.
fn action(parser: &mut Parser<'_>, draft: &mut Draft, around: &Around<'_>) -> Lost {
    match parser.next_token().token {
        it if is(&it, Keyword::ADD) => add(parser, draft, around),
        it if is(&it, Keyword::ALTER) => alter(parser, draft, around),
        it if is(&it, Keyword::DROP) => {
            let constraint = parser.parse_keyword(Keyword::CONSTRAINT);
            parser.parse_keyword(Keyword::COLUMN);
            parser.parse_keywords(&[Keyword::IF, Keyword::EXISTS]);
            let name = folded_ident(&parser.parse_identifier().map_err(why)?);
            if constraint {
                draft.release(&name)
            } else {
                draft.remove(&name)
            }
            Ok(())
        }
        it if is(&it, Keyword::SET) && !parser.peek_keyword(Keyword::SCHEMA) => Ok(()),
        it if [Keyword::RENAME, Keyword::SET, Keyword::INHERIT, Keyword::DETACH].iter().any(|word| is(&it, *word)) => {
            Err(format!("{it} is not followed"))
        }
        // Owners, triggers, storage and the like.
        _ => Ok(()),
    }
}

fn add(parser: &mut Parser<'_>, draft: &mut Draft, around: &Around<'_>) -> Lost {
    // A constraint of PostgreSQL 18, perhaps with a name.
    let named = if parser.peek_keyword(Keyword::CONSTRAINT) { 2 } else { 0 };
    if is(&parser.peek_nth_token_ref(named).token, Keyword::NOT) {
        (0..named + 2).for_each(|_| parser.advance_token());
        let name = parser.parse_identifier().map_err(why)?;
        draft.nullable(&folded_ident(&name), parser.parse_keywords(&[Keyword::NOT, Keyword::VALID]));
        return Ok(());
    }
    if let Some(it) = parser.parse_optional_table_constraint().map_err(why)? {
        return draft.constrain(&it, around);
    }
    parser.parse_keyword(Keyword::COLUMN);
    parser.parse_keywords(&[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    draft.column(&parser.parse_column_def().map_err(why)?, around)?;
    match &parser.peek_token_ref().token {
        Token::Comma | Token::EOF => Ok(()),
        other => Err(format!("`{other}` is not known there")),
    }
}

/// A change to a column.
fn alter(parser: &mut Parser<'_>, draft: &mut Draft, around: &Around<'_>) -> Lost {
    parser.parse_keyword(Keyword::COLUMN);
    let name = parser.parse_identifier().map_err(why)?;
    if parser.parse_keywords(&[Keyword::SET, Keyword::NOT, Keyword::NULL]) {
        draft.nullable(&folded_ident(&name), false);
    } else if parser.parse_keywords(&[Keyword::DROP, Keyword::NOT, Keyword::NULL]) {
        draft.nullable(&folded_ident(&name), true);
    } else if parser.parse_keywords(&[Keyword::SET, Keyword::DATA, Keyword::TYPE])
        || parser.parse_keyword(Keyword::TYPE)
    {
        draft.retype(&name, &parser.parse_data_type().map_err(why)?, around);
    }
    Ok(())
}
