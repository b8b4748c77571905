//! Products and quotients of decimals, exact until they are rounded once.
