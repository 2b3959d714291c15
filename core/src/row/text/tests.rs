//! Text forms against PostgreSQL.
