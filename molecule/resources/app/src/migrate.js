import fs from "node:fs";

if (fs.existsSync("fault") && fs.readFileSync("fault", "utf8").trim() === "migration") {
  console.error("the migration cannot be applied");
  process.exit(1);
}
console.log(`migrated for ${process.env.APP_VERSION}`);
