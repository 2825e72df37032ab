// Parses an AsyncAPI document with the official parser: its references, its schemas, its
// examples against its schemas. Warnings count, but for those that are named below.
const path = require("node:path");
const { Parser, fromFile } = require("@asyncapi/parser");

const file = process.argv[2];

// Advice on what a document may be without.
const advice = new Set(["asyncapi-info-contact", "asyncapi-latest-version", "asyncapi3-tags", "asyncapi-id"]);

async function main() {
  const parser = new Parser();
  const { document, diagnostics } = await fromFile(parser, path.resolve(file)).parse();
  const found = diagnostics.filter((one) => !advice.has(one.code));
  for (const { code, message, path: place } of found) {
    console.error(`${file}: ${place.join(".")}: ${message} (${code})`);
  }
  if (!document || found.length > 0) {
    process.exitCode = 1;
    return;
  }
  const channels = document.channels().all();
  const operations = document.operations().all();
  const messages = document.messages().all();
  const replies = operations.filter((operation) => operation.reply());
  const examples = messages.reduce((sum, message) => sum + message.examples().all().length, 0);
  console.log(
    `${file}: AsyncAPI ${document.version()}, ${channels.length} channels, ` +
      `${operations.length} operations (${replies.length} with a reply), ` +
      `${messages.length} messages, ${examples} examples`,
  );
}

main().catch((error) => {
  console.error(`${file}: ${error.message}`);
  process.exitCode = 1;
});
