// The smallest application that meets the backend's contract. A file `fault` makes a release go wrong on purpose.
import { createHash } from "node:crypto";
import fs from "node:fs";
import http from "node:http";

const fault = fs.existsSync("fault") ? fs.readFileSync("fault", "utf8").trim() : "";
const database = process.env.DATABASE_URL;
if (fault === "crash") {
  throw new Error("this release cannot start");
}
if (database.startsWith("sqlite:")) {
  // The one place it may write to.
  fs.appendFileSync(database.slice("sqlite:".length), "");
}

const digest = (text) => createHash("sha256").update(text ?? "").digest("hex");
const server = http.createServer((request, response) => {
  const answers = {
    "/api/health": { status: fault || "ok", version: process.env.APP_VERSION },
    "/api/digests": { secret: digest(process.env.APP_SECRET), database: digest(database) },
  };
  const answer = answers[request.url];
  response.writeHead(!answer ? 404 : fault === "ill" ? 503 : 200, { "Content-Type": "application/json" });
  response.end(JSON.stringify(answer ?? {}));
});
server.keepAliveTimeout = 65_000;
server.listen(Number(process.env.PORT), () => {
  console.log(`release ${process.env.APP_VERSION} listens`);
  process.send?.("ready");
});

function stop() {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
}
process.once("SIGINT", stop);
process.once("SIGTERM", stop);
