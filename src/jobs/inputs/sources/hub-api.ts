/** The parts of the client of Hugging Face that are needed; a module of its own, so that it is loaded only where a job asks for a model. */
export { listFiles, modelInfo } from '@huggingface/hub';
