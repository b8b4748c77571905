DROP TABLE prices;
DROP TABLE candles;
DROP TABLE meta;
