// Calls a server as a browser does: `node grpc_web.mjs BASE_URL PAIR UNKNOWN_PAIR`.
//
// Prints one line of JSON: the price of PAIR, the first message of its stream, and the error for UNKNOWN_PAIR.

import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import {
  GetPriceResponseSchema,
  PriceService,
  StreamPricesResponseSchema,
} from "./generated/cryptoprice/v1/price_service_pb.js";
import { ErrorInfoSchema } from "./generated/google/rpc/error_details_pb.js";

const [baseUrl, pair, unknownPair] = process.argv.slice(2);
const client = createClient(PriceService, createGrpcWebTransport({ baseUrl, defaultTimeoutMs: 10_000 }));

const unary = toJson(GetPriceResponseSchema, await client.getPrice({ pair }));

const stream = [];
const leaving = new AbortController();
for await (const message of client.streamPrices({ pairs: [pair] }, { signal: leaving.signal })) {
  stream.push(toJson(StreamPricesResponseSchema, message));
  break;
}
// Leaving the loop alone keeps the connection open, and with it this process.
leaving.abort();

let error;
try {
  await client.getPrice({ pair: unknownPair });
} catch (caught) {
  const refused = ConnectError.from(caught);
  const [info] = refused.findDetails(ErrorInfoSchema);
  error = { code: Code[refused.code], reason: info?.reason, metadata: info?.metadata };
}

console.log(JSON.stringify({ unary, stream, error }));
