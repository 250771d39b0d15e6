for (const button of document.querySelectorAll("button")) {
  const words = button.textContent;
  button.hidden = !navigator.clipboard;
  button.onclick = async () => {
    const code = document.getElementById(button.value);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(code);
    }
    setTimeout(() => { button.textContent = words; }, 2000);
  };
}
