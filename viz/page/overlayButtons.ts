/** Buttons of overlays, and what is shown with each. */

/** Presses the button of the overlay that is shown, and shows what belongs to it; null: none. */
export const markOverlay = (overlay: string | null): void => {
  for (const b of document.querySelectorAll('[data-overlay]'))
    b.setAttribute('aria-pressed', String(b.getAttribute('data-overlay') === overlay))
  for (const e of document.querySelectorAll('[data-with]'))
    e.toggleAttribute('hidden', e.getAttribute('data-with') !== overlay)
}
