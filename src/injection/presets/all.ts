/**
 * Duty: every preset by the name that a Service's `provider` gives.
 * Not here: what a preset leads to (policy/, injection/, response/).
 */
import type { ProviderPreset } from '../options.ts';
import { ANTHROPIC } from './anthropic.ts';
import { AWS } from './aws.ts';
import { AZURE_OPENAI } from './azure-openai.ts';
import { COHERE } from './cohere.ts';
import { GEMINI } from './gemini.ts';
import { GITHUB } from './github.ts';
import { GITLAB } from './gitlab.ts';
import { GROQ } from './groq.ts';
import { HUGGINGFACE } from './huggingface.ts';
import { MISTRAL } from './mistral.ts';
import { OPENAI } from './openai.ts';
import { OPENROUTER } from './openrouter.ts';
import { SLACK } from './slack.ts';
import { STRIPE } from './stripe.ts';

export const PRESETS: ReadonlyMap<string, ProviderPreset> = new Map(
  [
    OPENAI,
    AZURE_OPENAI,
    ANTHROPIC,
    GEMINI,
    MISTRAL,
    COHERE,
    GROQ,
    OPENROUTER,
    HUGGINGFACE,
    GITHUB,
    GITLAB,
    SLACK,
    STRIPE,
    AWS,
  ].map((preset) => [preset.name, Object.freeze(preset)] as const),
);
