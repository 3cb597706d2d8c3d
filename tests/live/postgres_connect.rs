//! Ways to reach a Postgres server, and what is said where it cannot be reached.

use crate::postgres;

#[test]
fn a_server_is_there() {
    let database = postgres::database();
    assert_eq!(database.execute("SELECT 1"), "1");
}
