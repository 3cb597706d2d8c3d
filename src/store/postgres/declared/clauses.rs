//! What `sqlparser` reads of statements: what defines a table, and what changes one.

use super::draft::{Around, Draft, Lost, folded_ident};
use sqlparser::{
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::Token,
};
use std::iter;

/// What stands behind the first `keyword` of a statement.
pub(super) fn parser(text: &str, keyword: Keyword) -> Lost<Parser<'static>> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).map_err(why)?;
    while parser.peek_token_ref().token != Token::EOF && !parser.parse_keyword(keyword) {
        parser.next_token();
    }
    Ok(parser)
}

pub(super) fn is(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(it) if it.keyword == keyword && it.quote_style.is_none())
}

/// Passes over words that may be there.
pub(super) fn skip(parser: &mut Parser<'_>, words: &[Keyword]) {
    let _ = parser.parse_keywords(words);
}

/// Goes on to the next comma, or to the end of the parentheses or the statement.
pub(super) fn pass(parser: &mut Parser<'_>) {
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
pub(super) fn rest(parser: &mut Parser<'_>) -> impl Iterator<Item = Token> {
    iter::from_fn(|| Some(parser.next_token().token).filter(|it| *it != Token::EOF))
}

/// Where in a statement that was is for nobody to see: it is counted from the statement's first line.
pub(super) fn why(error: ParserError) -> String {
    let text = match error {
        ParserError::TokenizerError(it) | ParserError::ParserError(it) => it,
        ParserError::RecursionLimitExceeded => "it goes too deep".to_owned(),
    };
    text.split(" at Line: ").next().unwrap_or_default().to_owned()
}

/// The columns and constraints of a table.
pub(super) fn elements(parser: &mut Parser<'_>, draft: &mut Draft, around: &Around<'_>) -> Lost {
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
pub(super) fn action(parser: &mut Parser<'_>, draft: &mut Draft, around: &Around<'_>) -> Lost {
    match parser.next_token().token {
        it if is(&it, Keyword::ADD) => add(parser, draft, around),
        it if is(&it, Keyword::ALTER) => alter(parser, draft, around),
        it if is(&it, Keyword::DROP) => {
            let constraint = parser.parse_keyword(Keyword::CONSTRAINT);
            skip(parser, &[Keyword::COLUMN]);
            skip(parser, &[Keyword::IF, Keyword::EXISTS]);
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
    skip(parser, &[Keyword::COLUMN]);
    skip(parser, &[Keyword::IF, Keyword::NOT, Keyword::EXISTS]);
    draft.column(&parser.parse_column_def().map_err(why)?, around)?;
    match &parser.peek_token_ref().token {
        Token::Comma | Token::EOF => Ok(()),
        other => Err(format!("`{other}` is not known there")),
    }
}

/// A change to a column.
fn alter(parser: &mut Parser<'_>, draft: &mut Draft, around: &Around<'_>) -> Lost {
    skip(parser, &[Keyword::COLUMN]);
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
