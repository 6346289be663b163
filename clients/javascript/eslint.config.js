import tseslint from "typescript-eslint";

// Sources that read a clock or a timer by themselves can't be tested with fake time: only environment.ts may.
const clocks = ["setTimeout", "clearTimeout", "setInterval", "performance", "queueMicrotask"].map((name) => ({
  name,
  message: "Take it from Environment.",
}));

export default tseslint.config(
  { ignores: ["dist", "node_modules", ".examples"] },
  { files: ["**/*.mjs", "**/*.js"], extends: [tseslint.configs.recommended] },
  {
    files: ["**/*.ts", "**/*.tsx"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/no-unused-vars": ["error", { varsIgnorePattern: "^_$" }],
      "max-lines": ["error", 400],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    files: ["src/**"],
    ignores: ["src/environment.ts"],
    rules: {
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: "The computer's clock can be set: use Environment.now." },
        { object: "Math", property: "random", message: "Take it from Environment." },
      ],
      "no-restricted-syntax": ["error", { selector: "NewExpression[callee.name='Date']", message: "The computer's clock can be set: use Environment.now." }],
    },
  },
  // Functions of fakes and fixtures don't use `this`.
  { files: ["test/**", "e2e/**"], rules: { "@typescript-eslint/unbound-method": "off", "@typescript-eslint/no-non-null-assertion": "off" } },
  { files: ["src/**"], ignores: ["src/environment.ts"], rules: { "no-restricted-globals": ["error", ...clocks] } },
);
